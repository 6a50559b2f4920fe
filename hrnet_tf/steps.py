"""Long jobs as lists of `hrnet` commands: each can be typed alone, and what is done is not done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console


@dataclass(frozen=True)
class Step:
    """One command; `result` is the file that tells it is done, or None where the command itself knows."""

    arguments: tuple[str, ...]
    result: Path | None = None


def step(command: str, result: Path | None = None) -> Step:
    """The step of a command line without quotes."""
    return Step(tuple(command.split()), result)


def check_path(path: Path | str) -> None:
    """Refuse a path that a command line cannot be split around."""
    if any(character.isspace() for character in str(path)):
        raise ValueError(f"the path must have no space in it, got {str(path)!r}")


def run_steps(steps: Sequence[Step], run: Callable[[list[str]], None]) -> None:
    """Run the commands with `run`, one after the other; those whose result is there are skipped."""
    console = Console()
    for number, one in enumerate(steps, 1):
        console.rule(f"step {number} of {len(steps)}")
        console.print(f"[bold]hrnet {' '.join(one.arguments)}[/bold]", soft_wrap=True, highlight=False)
        if one.result is not None and one.result.exists():
            console.print(f"done already: {one.result}")
        else:
            run(list(one.arguments))
