"""Spearman's rank correlation: 1 for the same order, 0 for none, -1 for the reverse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """The rank (N,) of each value from 1 on; equal ones share the mean of theirs."""
    _, place, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], np.float64)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Pearson's correlation of their ranks; None where one of them has no order at all."""
    own, other = (ranks(values) - (len(values) + 1) / 2 for values in (first, second))
    size = float(np.sqrt(own @ own * (other @ other)))
    return float(own @ other) / size if size else None
