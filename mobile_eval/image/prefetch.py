"""Background reading: images are read and cropped in other threads while the model runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

THREADS = 2
QUEUE_SIZE = 6  # results computed in advance; a constant bounds the memory, however many items there are

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Apply a function to each item in background threads, a few items in advance.

    Args:
        function: Is called in other threads than the caller's.
        items: Arguments of the calls; they are consumed lazily.

    Yields:
        The results in the order of the items. An exception of `function` is raised when its result is due.
    """
    remaining = iter(items)
    with ThreadPoolExecutor(THREADS) as executor:
        queue: deque[Future[Result]] = deque(executor.submit(function, item) for item in islice(remaining, QUEUE_SIZE))
        try:
            while queue:
                result = queue.popleft().result()
                queue.extend(executor.submit(function, item) for item in islice(remaining, 1))
                yield result
        finally:
            for future in queue:
                future.cancel()
