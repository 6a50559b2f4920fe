"""Progress bars on stderr, where it is a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Item = TypeVar("Item")


class Rate(ProgressColumn):
    """Column with the number of items per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "")


@contextlib.contextmanager
def working(label: str, *, show: bool = True) -> Iterator[None]:
    """Show a spinner on a terminal, for work without countable parts.

    Args:
        label: Text beside the spinner.
        show: Show it, or do nothing.
    """
    if not show:
        yield
        return
    with _console().status(label):
        yield


def tracked(items: Sequence[Item] | Iterable[Item], label: str, total: int | None = None, *, show: bool = True) -> Iterator[Item]:
    """Yield items with a progress bar on a terminal; an error removes the bar.

    Args:
        items: The items.
        label: Name of the bar.
        total: Number of items; None for `len(items)`, or unknown.
        show: Show the bar, or only yield the items.
    """
    with _bar(show=show) as progress:
        yield from progress.track(items, total=total, description=label) if progress else items


@contextlib.contextmanager
def counting(label: str, total: int, *, show: bool = True) -> Iterator[Callable[[int], None]]:
    """Show a progress bar while the block runs, for work that is not done item by item.

    Args:
        label: Name of the bar.
        total: Number of items.
        show: Whether to show the bar.

    Yields:
        A function to call with the number of items that have been done since the last call.
    """
    with _bar(show=show) as progress:
        if progress is None:
            yield lambda items: None
            return
        task = progress.add_task(label, total=total)
        yield lambda items: progress.advance(task, items)


def _console() -> Console:
    """stderr. Notebooks set FORCE_COLOR, which rich takes for a terminal."""
    return Console(stderr=True, force_jupyter=False, force_terminal=False if "ipykernel" in sys.modules else None)


@contextlib.contextmanager
def _bar(*, show: bool) -> Iterator[Progress | None]:
    """The bar on a terminal, or None; an error takes it away."""
    console = _console()
    if not show or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    progress = Progress(*columns, console=console)
    progress.start()
    try:
        yield progress
    except BaseException:
        progress.live.transient = True
        progress.live.stop()  # `progress.stop` would write an empty line
        raise
    progress.stop()
