"""Leaving out poses that another one of the same image already is (official HRNet evaluation: OKS of more than 0.9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

OKS_THRESHOLD = 0.9


def oks_of(
    pose: NDArray[np.float64], others: NDArray[np.float64], areas: NDArray[np.float64], sigmas: Sequence[float]
) -> NDArray[np.float64]:
    """OKS of one pose (K, 2 or more) to `others` (N, K, 2 or more): the mean over all joints, for `areas` (N,) in pixels."""
    squared = np.square(others[..., :2] - pose[:, :2]).sum(axis=-1)
    variances = np.square(2 * np.asarray(sigmas, np.float64))
    return np.asarray(np.exp(-squared / variances / (areas[:, None] + np.spacing(1)) / 2).mean(axis=-1))


def oks_nms(
    poses: NDArray[np.float64],
    scores: NDArray[np.float64],
    areas: NDArray[np.float64],
    sigmas: Sequence[float],
    threshold: float = OKS_THRESHOLD,
) -> NDArray[np.intp]:
    """Which poses (N, K, 3) of one image stay, by index, best score first.

    `areas` (N,) are those of the poses' boxes; the area of a pair is their mean.
    """
    left = np.argsort(-scores, kind="stable")
    kept = []
    while left.size:
        best, rest = left[0], left[1:]
        kept.append(best)
        similar = oks_of(poses[best], poses[rest], (areas[best] + areas[rest]) / 2, sigmas)
        left = rest[similar <= threshold]
    return np.array(kept, np.intp)
