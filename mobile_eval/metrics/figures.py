"""How figures are written: shares with four digits, numbers with their noun, and no NaN in JSON."""

from __future__ import annotations

import math


def number_or_none(value: float) -> float | None:
    """None for NaN, which JSON has not."""
    return None if math.isnan(value) else value


def show(value: float | None) -> str:
    """A share with four digits, or a dash for None and NaN."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """How many of something: "1 image", "1,200 images", "2 people"."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
