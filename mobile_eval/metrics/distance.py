"""How far keypoints are from where they should be, in units of the person: what PCK, PCKh and NME are made of.

A unit is a length in pixels for each person (N,): NaN where a person has none, who then does not count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
NO_BOX = (np.nan,) * 4
HEAD_SHARE = 0.6  # of the head box's diagonal is MPII's head size (SC_BIAS of its evaluation code)


def normalized_distances(predicted: ArrayLike, truth: ArrayLike, units: ArrayLike) -> Array:
    """Distances (N, K) of predictions (N, K, 2 or more) to keypoints (N, K, 3) as x, y, visibility, in `units` (N,).

    NaN where a keypoint is not labelled or a person has no unit; infinite where a prediction is no number.
    """
    found, wanted, lengths = (np.asarray(a, np.float64) for a in (predicted, truth, units))
    distances = np.linalg.norm(found[..., :2] - wanted[..., :2], axis=-1)
    distances = np.where(np.isnan(distances), np.inf, distances)
    known = (wanted[..., 2] > 0) & (lengths > 0)[:, None]
    return np.where(known, distances / np.where(lengths > 0, lengths, 1)[:, None], np.nan)


def longer_sides(boxes: Sequence[ArrayLike]) -> Array:
    """The longer sides of boxes (N, 4) as x, y, width, height."""
    return np.asarray(_sides(boxes).max(axis=1))


def box_sizes(boxes: Sequence[ArrayLike]) -> Array:
    """sqrt(width * height) of boxes (N, 4) (Bulat & Tzimiropoulos, ICCV 2017)."""
    return np.asarray(np.sqrt(_sides(boxes).prod(axis=1)))


def head_sizes(boxes: Sequence[ArrayLike | None]) -> Array:
    """MPII's head sizes: 0.6 of the diagonals of head boxes, each x, y, width, height (Andriluka et al., CVPR 2014)."""
    return np.asarray(HEAD_SHARE * np.linalg.norm(_sides([NO_BOX if box is None else box for box in boxes]), axis=1))


def keypoint_distances(truth: ArrayLike, first: Sequence[int], second: Sequence[int]) -> Array:
    """From the mean of the keypoints `first` to that of `second`, by index, of keypoints (N, K, 3).

    NaN where one of them is not labelled.
    """
    keypoints = np.asarray(truth, np.float64)
    labelled = (keypoints[:, [*first, *second], 2] > 0).all(axis=1)
    ends = [keypoints[:, list(indices), :2].mean(axis=1) for indices in (first, second)]
    return np.where(labelled, np.linalg.norm(ends[0] - ends[1], axis=1), np.nan)


def _sides(boxes: Sequence[ArrayLike]) -> Array:
    return np.stack([np.asarray(box, np.float64) for box in boxes])[:, 2:]
