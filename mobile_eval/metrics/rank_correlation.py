"""Spearman's rank correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """The ranks (N,) of values, from 1; equal values share the mean of their ranks."""
    _, place, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], np.float64)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Rank correlation of two sequences of the same length: Pearson's correlation of their ranks.

    Returns:
        1 for the same order, -1 for the reverse order; None if all values of a sequence are equal.

    Example:
        >>> spearman([1, 2, 3], [10, 30, 20])
        0.5
    """
    x, y = (ranks(values) - (len(values) + 1) / 2 for values in (first, second))
    norm = float(np.sqrt(x @ x * (y @ y)))
    return float(x @ y) / norm if norm else None
