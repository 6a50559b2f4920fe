"""Weights of classes by how often they occur, so that a network learns the rare ones too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def weights_by_count(counts: NDArray[Any]) -> NDArray[np.float64]:
    """N / (classes x count) of each class that occurs, whose mean over the examples is 1 (scikit-learn's "balanced"); else 1."""
    occur = counts > 0
    return np.where(occur, counts.sum() / (occur.sum() * np.maximum(counts, 1)), 1.0)


def weights_by_median_frequency(counts: Iterable[NDArray[Any]], classes: int) -> NDArray[np.float64]:
    """Median frequency over each class's own, of pixel `counts` (classes,) of each image; 1 of a class that does not occur.

    A class's frequency is its share of the pixels of the images that it occurs in (Eigen and Fergus, arXiv 1411.4734).
    """
    own, around = np.zeros(classes), np.zeros(classes)
    for one in counts:
        own += one
        around += np.where(one > 0, one.sum(), 0)
    occur = own > 0
    if not occur.any():
        return np.ones(classes)
    frequency = own[occur] / around[occur]
    weights = np.ones(classes)
    weights[occur] = np.median(frequency) / frequency
    return weights
