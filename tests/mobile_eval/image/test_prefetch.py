"""Reading ahead: in order, not too far, and errors in their turn."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest

from mobile_eval.image.prefetch import AHEAD, ahead


def test_no_more_images_are_read_ahead_than_wait() -> None:
    made: list[int] = []

    def make(item: int) -> int:
        made.append(item)
        return -item

    taken = ahead(make, iter(range(1000)))
    assert [next(taken) for _ in range(3)] == [0, -1, -2]
    time.sleep(0.05)
    assert len(made) <= 3 + AHEAD
    taken.close()  # type: ignore[attr-defined]


def test_what_goes_wrong_ahead_is_raised_in_its_turn() -> None:
    def numbers() -> Iterator[int]:
        yield from (4, 9, -1, 16)

    taken = ahead(math.isqrt, numbers())
    assert [next(taken), next(taken)] == [2, 3]
    with pytest.raises(ValueError, match="must be nonnegative"):
        next(taken)
