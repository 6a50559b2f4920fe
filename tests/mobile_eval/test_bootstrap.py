"""Intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from mobile_eval.bootstrap import difference_of_shares, ratio_of_medians


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        counted = np.ones((150, 14), bool)
        reference, found = rng.random((150, 14)) < 0.60, rng.random((150, 14)) < 0.65
        interval = difference_of_shares(found, reference, counted, range(150))
        held += interval.low <= 0.05 <= interval.high
    assert 0.90 <= held / 200 <= 0.99


def test_people_of_one_image_are_resampled_together() -> None:
    rng = np.random.default_rng(1)
    alike = np.repeat(rng.random((40, 1)) < 0.5, 5, axis=0)  # five people an image, of one fate
    nothing, all_counted = np.zeros_like(alike), np.ones_like(alike)
    apart = difference_of_shares(alike, nothing, all_counted, range(200))
    together = difference_of_shares(alike, nothing, all_counted, np.repeat(np.arange(40), 5).tolist())
    assert together.high - together.low > 1.8 * (apart.high - apart.low)


def test_a_ratio_of_latencies() -> None:
    rng = np.random.default_rng(2)
    reference = 10 + rng.exponential(1, 200)
    interval = ratio_of_medians(0.75 * reference, reference)
    assert (interval.low, interval.high) == pytest.approx((0.75, 0.75))
    other = ratio_of_medians(0.75 * (10 + rng.exponential(1, 200)), reference)
    assert other.low < 0.75 < other.high
    assert other.high - other.low < 0.05
