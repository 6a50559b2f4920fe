"""PCK: the share of keypoints found within a fraction of the person's size (Yang & Ramanan, TPAMI 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

PCK_THRESHOLD = 0.1


@dataclass(frozen=True)
class PckResult:
    """Shares in 0..1 over labelled joints; `per_joint` (K,) is NaN where no joint was labelled."""

    threshold: float
    pck: float
    per_joint: tuple[float, ...]
    joints_counted: int

    def __str__(self) -> str:
        return f"PCK@{self.threshold:g} {self.pck:.4f} over {self.joints_counted} joints"


def found_joints(
    predicted: ArrayLike, truth: ArrayLike, boxes: Sequence[ArrayLike], threshold: float = PCK_THRESHOLD
) -> NDArray[np.bool_]:
    """Which labelled joints (N, K) are found: within `threshold` times the longer side of the person's box (N, 4) in pixels.

    Predictions (N, K, 2 or more), keypoints (N, K, 3) as x, y, visibility.
    """
    predicted, truth, box = (np.asarray(a, np.float64) for a in (predicted, truth, boxes))
    distance = np.linalg.norm(predicted[..., :2] - truth[..., :2], axis=-1)
    return np.asarray((truth[..., 2] > 0) & (distance <= threshold * box[:, 2:].max(axis=1)[:, None]))


def pck(predicted: ArrayLike, truth: ArrayLike, boxes: Sequence[ArrayLike], threshold: float = PCK_THRESHOLD) -> PckResult:
    """PCK of predictions (N, K, 2 or more) against keypoints (N, K, 3) as x, y, visibility."""
    labelled = np.asarray(truth, np.float64)[..., 2] > 0
    found = found_joints(predicted, truth, boxes, threshold)
    with np.errstate(invalid="ignore"):
        per_joint = found.sum(axis=0) / labelled.sum(axis=0)
    total = int(labelled.sum())
    return PckResult(threshold, float(found.sum() / total) if total else float("nan"), tuple(map(float, per_joint)), total)
