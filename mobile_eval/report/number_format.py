"""Figures as the text of a report."""

from __future__ import annotations


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent; a dash for None."""
    return "–" if value is None else f"{value * 100:.{digits}f}"


def points_difference(value: float | None, reference: float | None) -> str:
    """The difference of two shares in percentage points, with its sign and a second decimal if the first one is 0."""
    if value is None or reference is None:
        return ""
    text = f"{(value - reference) * 100:+.1f}"
    if float(text) == 0:
        text = f"{(value - reference) * 100:+.2f}"
    return "+0.0" if float(text) == 0 else text.replace("-", "−")


def count(value: float) -> str:
    """A large number with three digits and a unit: 28.5 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:g}"
