"""95 % bootstrap confidence intervals for differences in accuracy and latency.

These are Efron's percentile intervals. Accuracy resamples images, latency resamples rounds. Both are paired: the models saw the
same images, and took turns in the same rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 0


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval."""

    low: float
    high: float


def difference_of_scores(sums: Array, reference: Array, score: Callable[[Array], Array]) -> Interval:
    """The interval of the difference of two models' scores (model minus reference).

    Args:
        sums: The model's sums (images, F) that the score is computed from.
        reference: The reference's, (images, F).
        score: Computes scores (...) from sums (..., F).
    """
    return difference_of_mean_scores([sums], [reference], score)


def difference_of_mean_scores(sums: Sequence[Array], references: Sequence[Array], score: Callable[[Array], Array]) -> Interval:
    """The interval of the difference of two networks' mean scores over their trainings (network minus reference).

    All trainings are measured on the same resamples of images. The trainings themselves are not resampled.

    Args:
        sums: Sums (images, F) of each training of the network.
        references: Those of each training of the reference.
        score: Computes scores (...) from sums (..., F).
    """
    images = len(sums[0])
    counts = np.random.default_rng(SEED).multinomial(images, np.full(images, 1 / images), RESAMPLES)
    weights = counts.astype(np.float64)  # (RESAMPLES, images): how often each resample has each image
    mean, reference = (np.mean([score(weights @ part) for part in parts], axis=0) for parts in (sums, references))
    return _interval(mean - reference)


def ratio_of_medians(samples: Sequence[float], reference: Sequence[float]) -> Interval:
    """The interval of the ratio of two models' median latencies (model over reference).

    Args:
        samples: The model's latency in each round.
        reference: The reference's latency in the same rounds.
    """
    numerator, denominator = np.asarray(samples, np.float64), np.asarray(reference, np.float64)
    rounds = np.random.default_rng(SEED).integers(0, len(numerator), (RESAMPLES, len(numerator)))
    return _interval(np.median(numerator[rounds], axis=1) / np.median(denominator[rounds], axis=1))


def _interval(values: Array) -> Interval:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))
