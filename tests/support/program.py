"""The commands and options of `hrnet`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import typer
from typer.core import TyperGroup

from hrnet_tf.__main__ import app


class Completed(NamedTuple):
    """The exit code of a command, and what it printed."""

    code: int
    out: str
    err: str

    def output(self) -> str:
        """What a command printed that succeeded."""
        assert self.code == 0, self.err
        return self.out


Hrnet: TypeAlias = Callable[..., Completed]  # the fixture `hrnet`
PROGRAM: Any = typer.main.get_command(app)


def commands() -> dict[tuple[str, ...], set[str]]:
    """Return the options of each command, by its words."""
    options: dict[tuple[str, ...], set[str]] = {}

    def collect(words: tuple[str, ...], command: Any) -> None:
        if isinstance(command, TyperGroup):
            for name, part in command.commands.items():
                collect((*words, name), part)
        names = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        options[words] = {name for name in names if name.startswith("-")} | {"--help", "-h"}

    collect((), PROGRAM)
    return options


COMMANDS = commands()


def unknown_options(arguments: Sequence[str]) -> set[str]:
    """Return the options among the arguments of `hrnet` that its command does not have; of an unknown command, all words."""
    words = max((tuple(arguments[:n]) for n in range(4) if tuple(arguments[:n]) in COMMANDS), key=len)
    if not words and not arguments[0].startswith("-"):
        return set(arguments)
    return {word.split("=")[0] for word in arguments if word.startswith("--")} - COMMANDS[words]


def parse(arguments: Sequence[str]) -> dict[str, object]:
    """Parse the arguments of `hrnet` without running the command; return the values of its parameters.

    Raises KeyError for an unknown command, and an error of click for a wrong option, value or number of arguments.
    """
    command, words = PROGRAM, list(arguments)
    while isinstance(command, TyperGroup):
        command = command.commands[words.pop(0)]
    return command.make_context(command.name, words).params
