"""How figures are written: shares with four digits, and no NaN in JSON."""

from __future__ import annotations

import math


def number_or_none(value: float) -> float | None:
    """None for NaN, which JSON has not."""
    return None if math.isnan(value) else value


def show(value: float | None) -> str:
    """A share with four digits, or a dash for None and NaN."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"
