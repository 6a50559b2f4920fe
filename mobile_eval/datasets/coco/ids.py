"""Ids of COCO files: whole numbers or texts, as pycocotools takes both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Id = int | str


def as_id(value: Any) -> Id | None:
    """The id that `value` is, whole numbers as int; None where it is none, such as NaN or a list."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int | str) and value != "" else None


def key_of(value: Any) -> str | None:
    """What ids are compared by, so that 7, 7.0 and "7" are one; None where `value` is no id."""
    own = as_id(value)
    return None if own is None else str(own)


def numbered(ids: Iterable[Any]) -> dict[str, int]:
    """1, 2, ... by the keys of `ids`, in the order that pycocotools takes images in: numbers by size, else as text.

    The order decides which of equal scores in several images comes first, and so AP.
    """
    own = [one for one in map(as_id, ids) if one is not None]
    ordered = sorted(own, key=int) if all(isinstance(one, int) for one in own) else sorted(own, key=str)
    return {key: number for number, key in enumerate(dict.fromkeys(map(str, ordered)), 1)}
