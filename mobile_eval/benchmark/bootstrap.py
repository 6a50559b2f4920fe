"""How sure a difference is: 95 % intervals by resampling (Efron's percentile bootstrap), images for accuracy, rounds for latency.

Both are paired: the models saw the same images, and took turns in the same rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLED = 2000
SHARE = 0.95
SEED = 0


@dataclass(frozen=True)
class Interval:
    """Where 95 % of the resampled values lie."""

    low: float
    high: float


def difference_of_scores(
    sums: NDArray[np.float64], reference: NDArray[np.float64], score: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Interval:
    """Of the score of `sums` (images, F) minus that of `reference`, resampling images; `score` makes (...) of sums (..., F)."""
    picked = _picked(len(sums))
    return _interval(score(picked @ sums) - score(picked @ reference))


def ratio_of_medians(samples: Sequence[float], reference: Sequence[float]) -> Interval:
    """Of the median of `samples` over that of `reference`, resampling rounds."""
    own, other = np.asarray(samples, np.float64), np.asarray(reference, np.float64)
    rng = np.random.default_rng(SEED)
    rounds = rng.integers(0, len(own), (RESAMPLED, len(own)))
    return _interval(np.median(own[rounds], axis=1) / np.median(other[rounds], axis=1))


def _picked(count: int) -> NDArray[np.float64]:
    """How often each of `count` is picked in each resampling (RESAMPLED, count)."""
    return np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), RESAMPLED).astype(np.float64)


def _interval(values: NDArray[np.float64]) -> Interval:
    outside = 100 * (1 - SHARE) / 2
    low, high = np.percentile(values, [outside, 100 - outside])
    return Interval(float(low), float(high))
