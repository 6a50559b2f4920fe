"""Work that goes on beside the one that waits for it: images are read and cropped while the model runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

READERS = 2  # threads that read ahead
AHEAD = 6  # images that wait to be looked at, at most: memory stays flat however many there are

Given = TypeVar("Given")
Made = TypeVar("Made")


def ahead(make: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """`make` of each item, in order, worked out ahead in other threads, a few at a time."""
    left = iter(items)
    with ThreadPoolExecutor(READERS) as readers:
        waiting: deque[Future[Made]] = deque(readers.submit(make, item) for item in islice(left, AHEAD))
        try:
            while waiting:
                made = waiting.popleft().result()
                waiting.extend(readers.submit(make, item) for item in islice(left, 1))
                yield made
        finally:
            for future in waiting:
                future.cancel()
