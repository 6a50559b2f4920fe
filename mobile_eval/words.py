"""Words that depend on a number."""

from __future__ import annotations

SINGULAR = {"people": "person", "boxes": "box", "classes": "class"}


def noun_for(count: int, plural: str) -> str:
    """The noun that goes with `count`: `plural`, or for 1 its singular."""
    return plural if count != 1 else SINGULAR.get(plural, plural.removesuffix("s"))
