"""The metric of a task, by which training, pruning and comparisons judge a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

PCK_THRESHOLD = 0.1  # of the longer side of the box
FAILURE_THRESHOLD = 0.1  # WFLW's (arXiv 1805.10483); 300W's is 0.08 (Sagonas et al., 2016)


@dataclass(frozen=True)
class Metric:
    """The metric that a task is judged by.

    Args:
        name: The full name, such as "PCK@0.1".
        key: The short name, such as "pck", which logs and files use.
        higher_is_better: False for an error, such as the normalized mean error.
    """

    name: str
    key: str
    higher_is_better: bool = True

    @property
    def column(self) -> str:
        """The name in the logs of `model.fit` and in history.csv, such as "val_pck"."""
        return f"val_{self.key}"

    def degradation(self, before: float, after: float) -> float:
        """How much worse `after` is than `before`; negative if it is better."""
        return before - after if self.higher_is_better else after - before


def none_if_nan(value: float) -> float | None:
    """The value, or None for NaN, which JSON cannot hold."""
    return None if math.isnan(value) else value


def format_score(value: float | None) -> str:
    """A score with four decimals; a dash for None and NaN."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


def format_scores(scores: Mapping[str, float | None]) -> str:
    """Named scores in one line.

    Example:
        >>> format_scores({"AP": 0.5, "AR": None})
        'AP 0.5000  AR -'
    """
    return "  ".join(f"{name} {format_score(value)}" for name, value in scores.items())
