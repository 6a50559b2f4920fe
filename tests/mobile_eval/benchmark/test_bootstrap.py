"""Bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest

from mobile_eval.benchmark.bootstrap import difference_of_mean_scores, difference_of_scores, ratio_of_medians
from mobile_eval.tasks.report import ratio, sums_by_group


def sums(hits: np.ndarray, groups: list[int] | range) -> np.ndarray:
    """Numbers of hits and items in the rows (N, K) of each group."""
    return sums_by_group(np.column_stack([hits.sum(axis=1), np.full(len(hits), hits.shape[1])]), groups)


@pytest.mark.slow
def test_coverage_of_the_interval() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        reference, hits = rng.random((150, 14)) < 0.60, rng.random((150, 14)) < 0.65
        interval = difference_of_scores(sums(hits, range(150)), sums(reference, range(150)), ratio)
        covered += interval.low <= 0.05 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_instances_of_an_image_are_resampled_together() -> None:
    rng = np.random.default_rng(1)
    hits = np.repeat(rng.random((40, 1)) < 0.5, 5, axis=0)  # the five instances of an image agree
    misses, images = np.zeros_like(hits), np.repeat(np.arange(40), 5).tolist()
    by_instance = difference_of_scores(sums(hits, range(200)), sums(misses, range(200)), ratio)
    by_image = difference_of_scores(sums(hits, images), sums(misses, images), ratio)
    assert by_image.high - by_image.low > 1.8 * (by_instance.high - by_instance.low)


def test_mean_over_trainings_on_the_same_images() -> None:
    rng = np.random.default_rng(3)
    trainings = [sums(rng.random((300, 14)) < share, range(300)) for share in (0.6, 0.65, 0.7)]
    [reference] = [sums(rng.random((300, 14)) < 0.6, range(300))]
    alone, repeated = (difference_of_mean_scores([trainings[1]] * n, [reference], ratio) for n in (1, 3))
    assert (alone.low, alone.high) == pytest.approx((repeated.low, repeated.high))
    mean = difference_of_mean_scores(trainings, [reference], ratio)
    middle = np.mean([ratio(part.sum(axis=0)) for part in trainings]) - ratio(reference.sum(axis=0))
    assert mean.low < middle < mean.high
    assert mean.high - mean.low < alone.high - alone.low  # the three trainings err independently here


def test_ratio_of_medians() -> None:
    rng = np.random.default_rng(2)
    reference = 10 + rng.exponential(1, 200)
    interval = ratio_of_medians(0.75 * reference, reference)
    assert (interval.low, interval.high) == pytest.approx((0.75, 0.75))
    independent = ratio_of_medians(0.75 * (10 + rng.exponential(1, 200)), reference)
    assert independent.low < 0.75 < independent.high
    assert independent.high - independent.low < 0.05
