"""Long jobs as lists of `hrnet` commands: each can be typed alone, and what is done is not done again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape


@dataclass(frozen=True)
class Step:
    """One command; `result` is the file that tells it is done, or None where the command itself knows."""

    arguments: tuple[str, ...]
    result: Path | None = None


Part = str | Path  # of a command line: words without quotes, or a path, which may have spaces


def step(*parts: Part, result: Path | None = None) -> Step:
    """The step of a command line in parts: strings are split into words, paths are one argument each."""
    return Step(tuple(word for part in parts for word in (part.split() if isinstance(part, str) else [str(part)])), result)


def run_steps(steps: Sequence[Step], run: Callable[[list[str]], None]) -> None:
    """Run the commands with `run`, one after the other; those whose result is there are skipped."""
    console = Console()
    for number, one in enumerate(steps, 1):
        console.rule(f"step {number} of {len(steps)}")
        console.print(f"[bold]hrnet {escape(shlex.join(one.arguments))}[/bold]", soft_wrap=True, highlight=False)
        if one.result is not None and one.result.exists():
            console.print(f"done already: {escape(str(one.result))}")
        else:
            run(list(one.arguments))
