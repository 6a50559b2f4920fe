"""Progress that a person can watch: one bar, on stderr."""

from __future__ import annotations

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


def note(text: str, *, show: bool = True) -> None:
    """Write a line to stderr, where there is one and `show`."""
    if text and show:
        Console(stderr=True).print(text, soft_wrap=True, markup=False, highlight=False)


def tracked(items: Sequence[Item] | Iterable[Item], label: str, total: int | None = None, *, show: bool = True) -> Iterator[Item]:
    """Yield `items`; where `show`, with a progress bar named `label`, which an error takes away with it."""
    if not show:
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    progress.start()
    try:
        yield from progress.track(items, total=total, description=label)
    except BaseException:
        progress.live.transient = True
        progress.live.stop()  # that of `progress` would write an empty line
        raise
    progress.stop()
