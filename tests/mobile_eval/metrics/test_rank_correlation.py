"""Rank correlation against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from mobile_eval.metrics.rank_correlation import ranks, spearman


@pytest.mark.parametrize("seed", range(5))
def test_equals_scipy(seed: int) -> None:
    first, second = np.random.default_rng(seed).integers(0, 6, (2, 20)).tolist()  # with ties
    np.testing.assert_array_equal(ranks(first), rankdata(first))
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert spearman(first, first) == pytest.approx(1)
    assert spearman(first, [1] * 20) is None
