"""What a file was compared with the Keras model on when it was converted, as its description's `source` says it."""

from __future__ import annotations

from typing import Any

IMAGES, RANDOM_IMAGES = "images", "random images"


def checked_on(count: int, inputs: str) -> dict[str, Any]:
    """The entry of `source`: how many, and IMAGES or RANDOM_IMAGES."""
    return {"checked_on": {"count": count, "inputs": inputs}}


def is_checked_on_random(source: dict[str, Any]) -> bool:
    """Whether the comparison was on random images alone; False where it is not known."""
    checked = source.get("checked_on")
    return isinstance(checked, dict) and checked.get("inputs") == RANDOM_IMAGES
