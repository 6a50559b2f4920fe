"""Workflows as lists of `hrnet` commands: each can be typed alone, and finished ones are skipped."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape


@dataclass(frozen=True)
class Step:
    """A command. If its `result` exists, it is finished; with None, the command itself decides what to do."""

    arguments: tuple[str, ...]
    result: Path | None = None


Part = str | Path  # of a command line: words separated by spaces, or a path


def step(*parts: Part, result: Path | None = None) -> Step:
    """Return the step of a command line: strings are split into words, and each path is one argument."""
    return Step(tuple(word for part in parts for word in (part.split() if isinstance(part, str) else [str(part)])), result)


def run_steps(steps: Sequence[Step], run: Callable[[list[str]], None]) -> None:
    """Run the commands one after another, and skip those whose result exists.

    Args:
        steps: The commands.
        run: Runs a command, given its arguments.
    """
    console = Console()
    for number, command in enumerate(steps, 1):
        console.rule(f"step {number} of {len(steps)}")
        console.print(f"[bold]hrnet {escape(shlex.join(command.arguments))}[/bold]", soft_wrap=True, highlight=False)
        if command.result is not None and command.result.exists():
            console.print(f"finished already: {escape(str(command.result))}")
        else:
            run(list(command.arguments))
