"""Scores of importance, and how far two of them agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TypeVar

from hrnet_tf.spec.units import Unit
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.rank_correlation import spearman

Scores = dict[Unit, float]
Ranked = TypeVar("Ranked")  # a unit, or the name of a width group


def rank_correlation(first: Scores, second: Scores) -> float | None:
    """Return Spearman's rank correlation: 1 for the same order, 0 for none, -1 for the reverse.

    Args:
        first: Scores of some units.
        second: Other scores of the same units.

    Returns:
        The correlation; None if all scores of one side are equal.
    """
    if set(first) != set(second):
        raise HRNetError("rankings of different units cannot be compared")
    units = list(first)
    return spearman([first[unit] for unit in units], [second[unit] for unit in units])


def agreement(rankings: Mapping[str, Scores]) -> dict[tuple[str, str], float | None]:
    """Return the rank correlation of every pair of methods.

    Args:
        rankings: Scores by the name of their method.
    """
    pairs = itertools.combinations(rankings, 2)
    return {(first, second): rank_correlation(rankings[first], rankings[second]) for first, second in pairs}


def check_loss(loss: float) -> None:
    """Raise HRNetError if the loss of a network is NaN or infinite."""
    if not math.isfinite(loss):
        raise HRNetError(f"`data`: the loss is {loss}, expected a number; check the targets, the loss and the weights")


def check_finite(scores: Mapping[Ranked, float], source: str, advice: str) -> None:
    """Raise HRNetError if a score is NaN or infinite, as there is no order then.

    Args:
        scores: Scores by unit, or by width group.
        source: Where they come from, for the message.
        advice: What to do about it, for the message.
    """
    unit = next((unit for unit, value in scores.items() if not math.isfinite(value)), None)
    if unit is not None:
        raise HRNetError(f"{source}: the importance of {unit} is {scores[unit]}; {advice}")
