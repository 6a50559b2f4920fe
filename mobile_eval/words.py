"""Words that depend on a number."""

from __future__ import annotations

SINGULAR = {"people": "person", "boxes": "box", "classes": "class"}


def number_of(count: int, plural: str) -> str:
    """`count` with its noun: "2 images", "1 image"."""
    return f"{count:,} {plural if count != 1 else SINGULAR.get(plural, plural.removesuffix('s'))}"
