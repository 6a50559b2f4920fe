"""Progress that a person can watch: one bar, on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Item = TypeVar("Item")


class Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "")


@contextlib.contextmanager
def working(label: str, *, show: bool = True) -> Iterator[None]:
    """While this lasts and where `show`, say on a terminal that it does: for work whose parts cannot be counted."""
    if not show:
        yield
        return
    with Console(stderr=True).status(label):
        yield


def tracked(items: Sequence[Item] | Iterable[Item], label: str, total: int | None = None, *, show: bool = True) -> Iterator[Item]:
    """Yield `items`; where `show`, with a progress bar named `label` on a terminal, which an error takes away with it."""
    console = Console(stderr=True)
    if not show or not console.is_terminal:
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    progress = Progress(*columns, console=console)
    progress.start()
    try:
        yield from progress.track(items, total=total, description=label)
    except BaseException:
        progress.live.transient = True
        progress.live.stop()  # that of `progress` would write an empty line
        raise
    progress.stop()
