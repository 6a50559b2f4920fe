"""Heatmaps to learn: a Gaussian of peak 1 at each joint, in one of two ways.

official    at the joint's place rounded to a heatmap pixel, in a window of 6 sigma + 1 (official pose code base)
dark        at the exact place, over the whole map (DARK, arXiv 1910.06278)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_eval.decode import HEATMAP_STRIDE
from mobile_eval.geometry import Array, transform_points

KINDS = ("official", "dark")
REACH = 3  # the official window's half width, in sigmas


@dataclass(frozen=True)
class HeatmapTargets:
    """The kind of target and its Gaussian's standard deviation, in heatmap pixels."""

    kind: str = "official"
    sigma: float = 2.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"targets must be one of {', '.join(KINDS)}, got {self.kind!r}")


def heatmap_target(
    keypoints: Array,
    matrix: Array,
    size: tuple[int, int],
    targets: HeatmapTargets,
    out: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heatmaps (H/4, W/4, K) of keypoints (K, 3) in image pixels, and weights (K,); `size` is (H/4, W/4).

    A weight is 0 where the joint is not labelled or, official, its window misses the map; dark, its place does.
    `out` is where the heatmaps go, if given.
    """
    height, width = size
    place = transform_points(keypoints[:, :2], matrix) / HEATMAP_STRIDE
    if targets.kind == "official":
        place = np.trunc(place + 0.5)
        reach = np.floor(REACH * targets.sigma)
        inside = np.all((place >= -reach) & (place <= [width - 1 + reach, height - 1 + reach]), axis=1)
    else:
        reach = np.inf
        inside = np.all((place > -0.5) & (place < [width - 0.5, height - 0.5]), axis=1)
    weights = np.asarray((keypoints[:, 2] > 0) & inside, np.float32)
    columns = _bell(width, place[:, 0], targets.sigma, reach)
    rows = _bell(height, place[:, 1], targets.sigma, reach) * weights
    return np.multiply(rows[:, None], columns[None], out), weights


def _bell(length: int, place: Array, sigma: float, reach: float) -> NDArray[np.float32]:
    """One side (length, K) of Gaussians, which are products of their sides."""
    distance = np.arange(length)[:, None] - place
    return np.asarray(np.exp(distance**2 / (-2 * sigma**2)) * (np.abs(distance) <= reach), np.float32)
