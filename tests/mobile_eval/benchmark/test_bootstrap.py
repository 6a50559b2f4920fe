"""Intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from mobile_eval.benchmark.bootstrap import difference_of_scores, ratio_of_medians
from mobile_eval.tasks.report import ratio, sums_by_group


def sums(found: np.ndarray, groups: list[int] | range) -> np.ndarray:
    """What was found of each group's rows (N, K), and what there was."""
    return sums_by_group(np.column_stack([found.sum(axis=1), np.full(len(found), found.shape[1])]), groups)


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        reference, found = rng.random((150, 14)) < 0.60, rng.random((150, 14)) < 0.65
        interval = difference_of_scores(sums(found, range(150)), sums(reference, range(150)), ratio)
        held += interval.low <= 0.05 <= interval.high
    assert 0.90 <= held / 200 <= 0.99


def test_people_of_one_image_are_resampled_together() -> None:
    rng = np.random.default_rng(1)
    alike = np.repeat(rng.random((40, 1)) < 0.5, 5, axis=0)  # five people an image, of one fate
    nothing, images = np.zeros_like(alike), np.repeat(np.arange(40), 5).tolist()
    apart = difference_of_scores(sums(alike, range(200)), sums(nothing, range(200)), ratio)
    together = difference_of_scores(sums(alike, images), sums(nothing, images), ratio)
    assert together.high - together.low > 1.8 * (apart.high - apart.low)


def test_a_ratio_of_latencies() -> None:
    rng = np.random.default_rng(2)
    reference = 10 + rng.exponential(1, 200)
    interval = ratio_of_medians(0.75 * reference, reference)
    assert (interval.low, interval.high) == pytest.approx((0.75, 0.75))
    other = ratio_of_medians(0.75 * (10 + rng.exponential(1, 200)), reference)
    assert other.low < 0.75 < other.high
    assert other.high - other.low < 0.05
