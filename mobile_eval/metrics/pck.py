"""PCK, the percentage of correct keypoints (Yang & Ramanan, TPAMI 2013), and PCKh (Andriluka et al., CVPR 2014).

A keypoint is correct if the prediction is within a fraction of the instance's size: for PCK the longer side of its box, for
PCKh its head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mobile_eval.messages import number_of
from mobile_eval.metrics.distance import longer_sides, normalized_distances
from mobile_eval.metrics.metric import PCK_THRESHOLD, none_if_nan
from mobile_eval.typed import JsonObject

PCKH_THRESHOLD = 0.5
NOT_IN_PCKH = ("pelvis", "thorax")  # MPII's evaluation leaves them out of the mean


@dataclass(frozen=True)
class PckResult:
    """Shares of correct keypoints, from 0 to 1.

    Args:
        threshold: Greatest distance of a correct keypoint, as a fraction of the size.
        pck: Share over all labelled keypoints; NaN if there are none.
        per_joint: Share of each joint (K,); NaN if it is never labelled.
        joints_counted: Number of labelled keypoints.
        name: "PCK" or "PCKh".
    """

    threshold: float
    pck: float
    per_joint: tuple[float, ...]
    joints_counted: int
    name: str = "PCK"

    def to_json(self, joints: Sequence[str]) -> JsonObject:
        """Plain data; NaN becomes null.

        Args:
            joints: Names of the joints (K,).
        """
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
    """Which keypoints (N, K) are labelled and correct; see `pck` for the arguments."""
    return np.asarray(normalized_distances(predicted, truth, longer_sides(boxes)) <= threshold)


def pck(predicted: ArrayLike, truth: ArrayLike, boxes: Sequence[ArrayLike], threshold: float = PCK_THRESHOLD) -> PckResult:
    """PCK by the longer sides of boxes.

    Args:
        predicted: Predictions (N, K, 2 or more), x and y first.
        truth: Annotated keypoints (N, K, 3) as x, y, visibility.
        boxes: Boxes (N, 4) as x, y, width, height in pixels.
        threshold: Greatest distance of a correct keypoint, as a fraction of the box's longer side.

    Example:
        >>> pck([[[12, 10], [50, 60]]], [[[10, 10, 2], [50, 50, 2]]], [[0, 0, 40, 80]]).per_joint
        (1.0, 0.0)
    """
    return _shares(normalized_distances(predicted, truth, longer_sides(boxes)), threshold)


def pckh(
    predicted: ArrayLike, truth: ArrayLike, heads: ArrayLike, joints: Sequence[str], threshold: float = PCKH_THRESHOLD
) -> PckResult:
    """PCKh; the mean leaves out the joints that MPII's evaluation leaves out.

    Args:
        predicted: Predictions (N, K, 2 or more), x and y first.
        truth: Annotated keypoints (N, K, 3) as x, y, visibility.
        heads: Head sizes (N,) in pixels; NaN if they are not known.
        joints: Names of the joints (K,).
        threshold: Greatest distance of a correct keypoint, as a fraction of the head size.
    """
    in_mean = np.array([joint not in NOT_IN_PCKH for joint in joints])
    return _shares(normalized_distances(predicted, truth, heads), threshold, in_mean, name="PCKh")


def _shares(
    distances: NDArray[np.float64], threshold: float, in_mean: NDArray[np.bool_] | None = None, name: str = "PCK"
) -> PckResult:
    """Shares of distances (N, K), where they are not NaN, within `threshold`; the mean is over joints `in_mean` (K,)."""
    correct, labelled = (distances <= threshold).sum(axis=0), (~np.isnan(distances)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        per_joint = tuple(map(float, correct / labelled))
    in_mean = np.full(len(correct), True) if in_mean is None else in_mean
    total = int(labelled[in_mean].sum())
    mean = float(correct[in_mean].sum() / total) if total else float("nan")
    return PckResult(threshold, mean, per_joint, total, name)
