"""Background reading: order, bounded queue, and errors."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest

from mobile_eval.image.prefetch import QUEUE_SIZE, prefetch


def test_the_queue_is_bounded() -> None:
    calls: list[int] = []

    def negate(item: int) -> int:
        calls.append(item)
        return -item

    results = prefetch(negate, iter(range(1000)))
    assert [next(results) for _ in range(3)] == [0, -1, -2]
    time.sleep(0.05)
    assert len(calls) <= 3 + QUEUE_SIZE
    results.close()  # type: ignore[attr-defined]


def test_errors_are_raised_in_order() -> None:
    def numbers() -> Iterator[int]:
        yield from (4, 9, -1, 16)

    results = prefetch(math.isqrt, numbers())
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ValueError, match="nonnegative"):
        next(results)
