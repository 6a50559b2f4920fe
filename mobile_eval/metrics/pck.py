"""PCK: the share of keypoints found within a fraction of the person's size (Yang & Ramanan, TPAMI 2013).

PCKh is the same with the head's size (Andriluka et al., CVPR 2014: MPII).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mobile_eval.metrics.distance import longer_sides, normalized_distances
from mobile_eval.metrics.metric import PCK_THRESHOLD, none_if_nan
from mobile_eval.words import number_of

PCKH_THRESHOLD = 0.5
NOT_IN_PCKH = ("pelvis", "thorax")  # MPII's evaluation leaves them out of the mean


@dataclass(frozen=True)
class PckResult:
    """Shares in 0..1 over labelled joints; `per_joint` (K,) is NaN where no joint was labelled."""

    threshold: float
    pck: float
    per_joint: tuple[float, ...]
    joints_counted: int
    name: str = "PCK"

    def to_json(self, joints: Sequence[str]) -> dict[str, Any]:
        """Plain data, with the names of the `joints`; NaN becomes null."""
        return {
            "threshold": self.threshold,
            self.name.lower(): none_if_nan(self.pck),
            "joints_counted": self.joints_counted,
            "per_joint": {joint: none_if_nan(share) for joint, share in zip(joints, self.per_joint, strict=True)},
        }

    def __str__(self) -> str:
        return f"{self.name}@{self.threshold:g} {self.pck:.4f} over {number_of(self.joints_counted, 'joints')}"


def correct_keypoints(
    predicted: ArrayLike, truth: ArrayLike, boxes: Sequence[ArrayLike], threshold: float = PCK_THRESHOLD
) -> NDArray[np.bool_]:
    """Which labelled joints (N, K) are found: within `threshold` times the longer side of the person's box (N, 4) in pixels.

    Predictions (N, K, 2 or more), keypoints (N, K, 3) as x, y, visibility.
    """
    return np.asarray(normalized_distances(predicted, truth, longer_sides(boxes)) <= threshold)


def pck(predicted: ArrayLike, truth: ArrayLike, boxes: Sequence[ArrayLike], threshold: float = PCK_THRESHOLD) -> PckResult:
    """PCK of predictions (N, K, 2 or more) against keypoints (N, K, 3) as x, y, visibility."""
    return _within(normalized_distances(predicted, truth, longer_sides(boxes)), threshold)


def pckh(
    predicted: ArrayLike, truth: ArrayLike, heads: ArrayLike, joints: Sequence[str], threshold: float = PCKH_THRESHOLD
) -> PckResult:
    """PCKh by the sizes of heads (N,) in pixels, NaN where not known; the mean is over the joints that MPII's is over."""
    counted = np.array([joint not in NOT_IN_PCKH for joint in joints])
    return _within(normalized_distances(predicted, truth, heads), threshold, counted, name="PCKh")


def _within(
    distances: NDArray[np.float64], threshold: float, counted: NDArray[np.bool_] | None = None, name: str = "PCK"
) -> PckResult:
    """Shares of normalized distances (N, K), where they are known, within `threshold`; the mean over joints `counted` (K,)."""
    found, labelled = (distances <= threshold).sum(axis=0), (~np.isnan(distances)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        per_joint = tuple(map(float, found / labelled))
    counted = np.full(len(found), True) if counted is None else counted
    total = int(labelled[counted].sum())
    return PckResult(threshold, float(found[counted].sum() / total) if total else float("nan"), per_joint, total, name)
