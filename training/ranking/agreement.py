"""How far rankings agree: Spearman's rank correlation, 1 for the same order, 0 for none, -1 for the reverse."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from mobile_eval.errors import HRNetError
from mobile_eval.metrics.rank_correlation import spearman
from training.ranking.data import Scores


def rank_correlation(first: Scores, second: Scores) -> float | None:
    """Spearman's rho of two scores of the same units; None where one of them has no order at all."""
    if set(first) != set(second):
        raise HRNetError("rankings of different units cannot be compared")
    units = list(first)
    return spearman(*([scores[unit] for unit in units] for scores in (first, second)))


def agreement(rankings: Mapping[str, Scores]) -> dict[tuple[str, str], float | None]:
    """Rank correlation of every pair of rankings."""
    return {pair: rank_correlation(*(rankings[name] for name in pair)) for pair in itertools.combinations(rankings, 2)}
