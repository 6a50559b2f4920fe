"""Object keypoint similarity (OKS), and suppression of poses by it.

OKS is the mean over keypoints of exp(-d^2 / (2 area (2 sigma)^2)), with d the distance in pixels (cocodataset.org).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
OKS_THRESHOLD = 0.9  # the official HRNet evaluation's


def annotation_oks(points: Array, keypoints: Array, boxes: Array, areas: Array, sigmas: Sequence[float]) -> Array:
    """OKS of predictions to annotations, pair by pair, as COCO's evaluation computes it.

    The mean is over the labelled keypoints. For an annotation without any, it is over all keypoints, and d is the distance to
    its box, three times as wide and high about the same center.

    Args:
        points: Predictions (N, K, 2) as x, y.
        keypoints: Annotated keypoints (N, K, 3) as x, y, visibility.
        boxes: Boxes of the annotations (N, 4) as x, y, width, height.
        areas: Areas of the annotations (N,) in square pixels.
        sigmas: OKS constants of the keypoints (K,) in COCO's convention (0.026 for the nose).

    Returns:
        OKS (N,).
    """
    labelled = keypoints[..., 2] > 0
    offsets = points - keypoints[..., :2]
    unlabelled = ~labelled.any(axis=1)
    if unlabelled.any():
        corners, sizes = boxes[unlabelled, None, :2], boxes[unlabelled, None, 2:]
        outside = points[unlabelled]
        offsets[unlabelled] = np.maximum(corners - sizes - outside, 0) + np.maximum(outside - corners - 2 * sizes, 0)
        labelled[unlabelled] = True
    similarities = _similarities(offsets, areas, sigmas)
    return np.asarray(np.where(labelled, similarities, 0.0).sum(axis=-1) / labelled.sum(axis=-1))


def pose_oks(pose: Array, others: Array, areas: Array, sigmas: Sequence[float]) -> Array:
    """OKS of a pose to other poses; the mean is over all keypoints.

    Args:
        pose: Keypoints (K, 2 or more), x and y first.
        others: Keypoints (N, K, 2 or more).
        areas: Area of each pair (N,) in square pixels.
        sigmas: OKS constants of the keypoints (K,).

    Returns:
        OKS (N,).
    """
    return np.asarray(_similarities(others[..., :2] - pose[:, :2], areas, sigmas).mean(axis=-1))


def oks_nms(
    poses: Array, scores: Array, areas: Array, sigmas: Sequence[float], threshold: float = OKS_THRESHOLD
) -> NDArray[np.intp]:
    """Remove poses that repeat a better one of the same image.

    Args:
        poses: Poses of an image (N, K, 3).
        scores: Scores of the poses (N,).
        areas: Areas of their boxes (N,); the area of a pair is the mean of both.
        sigmas: OKS constants of the keypoints (K,).
        threshold: Poses whose OKS to a better pose is higher are removed.

    Returns:
        Indices of the remaining poses, best score first.
    """
    candidates = np.argsort(-scores, kind="stable")
    selected = []
    while candidates.size:
        best, rest = candidates[0], candidates[1:]
        selected.append(best)
        similarities = pose_oks(poses[best], poses[rest], (areas[best] + areas[rest]) / 2, sigmas)
        candidates = rest[similarities <= threshold]
    return np.array(selected, np.intp)


def _similarities(offsets: Array, areas: Array, sigmas: Sequence[float]) -> Array:
    """exp(-d^2 / (2 area (2 sigma)^2)) (N, K) of offsets (N, K, 2)."""
    variances = np.square(2 * np.asarray(sigmas, np.float64))
    squared = np.square(offsets).sum(axis=-1)
    return np.asarray(np.exp(-squared / variances / (areas[:, None] + np.spacing(1)) / 2))
