"""Distances between predicted and annotated keypoints in units of the instance's size; PCK, PCKh and NME are made of them.

The size of an instance is a length in pixels (N,), such as the longer side of its box. Instances of size NaN do not count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
NO_BOX = (np.nan,) * 4
HEAD_SIZE = 0.6  # of the diagonal of the head box: MPII's head size (SC_BIAS of its evaluation code)


def normalized_distances(predicted: ArrayLike, truth: ArrayLike, sizes: ArrayLike) -> Array:
    """Distances between predictions and annotations, divided by the sizes of the instances.

    Args:
        predicted: Predictions (N, K, 2 or more), x and y first.
        truth: Annotated keypoints (N, K, 3) as x, y, visibility.
        sizes: Sizes of the instances (N,), in pixels.

    Returns:
        Distances (N, K): NaN if a keypoint is not labelled or an instance has no size, infinite if a prediction is NaN.
    """
    points, keypoints, lengths = (np.asarray(values, np.float64) for values in (predicted, truth, sizes))
    distances = np.linalg.norm(points[..., :2] - keypoints[..., :2], axis=-1)
    distances = np.where(np.isnan(distances), np.inf, distances)
    counted = (keypoints[..., 2] > 0) & (lengths > 0)[:, None]
    return np.where(counted, distances / np.where(lengths > 0, lengths, 1)[:, None], np.nan)


def longer_sides(boxes: Sequence[ArrayLike]) -> Array:
    """The longer sides (N,) of boxes (N, 4) as x, y, width, height."""
    return np.asarray(_sides(boxes).max(axis=1))


def box_sizes(boxes: Sequence[ArrayLike]) -> Array:
    """sqrt(width * height) (N,) of boxes (N, 4) as x, y, width, height (Bulat & Tzimiropoulos, ICCV 2017)."""
    return np.asarray(np.sqrt(_sides(boxes).prod(axis=1)))


def head_sizes(boxes: Sequence[ArrayLike | None]) -> Array:
    """MPII's head sizes (N,): 0.6 of the diagonal of the head box (Andriluka et al., CVPR 2014).

    Args:
        boxes: Head boxes as x, y, width, height; None for an instance without one, whose size is NaN.
    """
    return np.asarray(HEAD_SIZE * np.linalg.norm(_sides([NO_BOX if box is None else box for box in boxes]), axis=1))


def keypoint_distances(keypoints: ArrayLike, first: Sequence[int], second: Sequence[int]) -> Array:
    """Distances (N,) between two points of each instance, such as its outer eye corners.

    Args:
        keypoints: Keypoints (N, K, 3) as x, y, visibility.
        first: Indices of the keypoints whose mean is the first point.
        second: Indices of the keypoints whose mean is the second point.

    Returns:
        Distances in pixels; NaN if one of these keypoints is not labelled.
    """
    points = np.asarray(keypoints, np.float64)
    labelled = (points[:, [*first, *second], 2] > 0).all(axis=1)
    ends = [points[:, list(indices), :2].mean(axis=1) for indices in (first, second)]
    return np.where(labelled, np.linalg.norm(ends[0] - ends[1], axis=1), np.nan)


def _sides(boxes: Sequence[ArrayLike]) -> Array:
    return np.stack([np.asarray(box, np.float64) for box in boxes])[:, 2:]
