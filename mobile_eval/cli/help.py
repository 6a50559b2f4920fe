"""Help pages of commands and groups: the common options first, the others under headings, those of tasks on request.

A command that has options of several tasks lists their names only. Its page shows those of a task if the task, or a model or file
of the task, is among the arguments: `hrnet train pose --help`, `hrnet train pose-w32 --help`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

Function = TypeVar("Function", bound=Callable[..., object])
Row = tuple[str, str]  # names, and description with markup

WORDS = "mobile_eval.words"  # key of the arguments in a context
TASK_OPTIONS = "task_options"  # attribute of a command's function
FIRST_COLUMN = 27  # widest first column, in characters
METAVARS = {Path: "PATH", int: "N", float: "X", str: "TEXT"}
ARGUMENTS, OPTIONS, COMMANDS = "Arguments", "Options", "Commands"  # headings


@dataclass(frozen=True)
class TaskOptions:
    """Options of a command that only some tasks have.

    Attributes:
        tasks: Tasks of each option, by the name of its parameter.
        task_of: Returns the task of an argument, such as the name of a model; None if it names none.
    """

    tasks: dict[str, tuple[str, ...]]
    task_of: Callable[[str], str | None]

    @property
    def names(self) -> list[str]:
        """The tasks."""
        return list(dict.fromkeys(name for names in self.tasks.values() for name in names))

    def task_among(self, words: Iterable[str]) -> str | None:
        """The first task that is named in the arguments, directly or by a model or file."""
        named = (word if word in self.names else self.task_of(word) for word in words if not word.startswith("-"))
        return next((task for task in named if task), None)


class Commands(typer.Typer):
    """A group of commands that have these help pages.

    Args:
        name: Name of the group. None for commands that are mounted among those of another group.
        description: Help text of the group.
        completion: Offer shell completion (only for the program itself).
    """

    def __init__(self, name: str | None = None, description: str | None = None, *, completion: bool = False) -> None:
        super().__init__(
            name=name,
            help=description,
            cls=Group,
            no_args_is_help=True,
            add_completion=completion,
            pretty_exceptions_enable=False,
            rich_markup_mode="rich",
            context_settings={"help_option_names": ["--help", "-h"]},
        )

    def command(self, *arguments: Any, **settings: Any) -> Callable[[Function], Function]:
        """As `typer.Typer.command`."""
        return super().command(*arguments, cls=Command, **settings)


class Command(TyperCommand):
    """A command with its help page."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[WORDS] = tuple(args)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: object) -> None:
        parameters = self.get_params(ctx)
        task_options: TaskOptions | None = getattr(self.callback, TASK_OPTIONS, None)
        task = task_options.task_among(ctx.meta.get(WORDS, ())) if task_options else None
        sections: dict[str, list[Row]] = {ARGUMENTS: [], OPTIONS: []}
        kinds = _kinds(self)
        for parameter in parameters:
            if isinstance(parameter, TyperArgument):
                sections[ARGUMENTS].append((_argument_name(parameter), _description(parameter, ctx)))
            elif isinstance(parameter, TyperOption) and _is_shown(parameter, task_options, task):
                row = (_option_name(parameter, kinds.get(parameter.name or "")), _description(parameter, ctx))
                sections.setdefault(parameter.rich_help_panel or _heading(parameter, task_options, task), []).append(row)
        if task_options and task is None:
            heading = f"Options of tasks, see {ctx.command_path} TASK --help"
            sections[heading] = [(name, _names_of(task_options, name, parameters)) for name in task_options.names]
        usage = " ".join(_argument_name(parameter) for parameter in parameters if isinstance(parameter, TyperArgument))
        _show_page(f"{ctx.command_path} [OPTIONS] {usage}".rstrip(), self.help, sections)


class Group(TyperGroup):
    """A group of commands with its help page. For a command that is in another group, the error names this group."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not ctx.resilient_parsing:
            groups = {name: group for name, group in self.commands.items() if isinstance(group, TyperGroup)}
            places = [f"'{name} {args[0]}'" for name, group in groups.items() if args[0] in group.commands]
            if places:
                ctx.fail(f"No such command '{args[0]}'. Did you mean {' or '.join(places)}?")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: object) -> None:
        sections: dict[str, list[Row]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if isinstance(command, TyperCommand | TyperGroup) and not command.hidden:
                sections.setdefault(command.rich_help_panel or COMMANDS, []).append((name, _first_sentence(command.help)))
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, TyperOption)]
        sections[OPTIONS] = [(_option_name(option, None), _description(option, ctx)) for option in options]
        _show_page(f"{ctx.command_path} [OPTIONS] COMMAND", self.help, sections)


def _heading(option: TyperOption, task_options: TaskOptions | None, task: str | None) -> str:
    """The heading of an option that declares none."""
    return f"Options of {task}" if task_options and task and option.name in task_options.tasks else OPTIONS


def _is_shown(option: TyperOption, task_options: TaskOptions | None, task: str | None) -> bool:
    """Whether an option is for all tasks, or for the requested one."""
    if task_options is None or (option.name or "") not in task_options.tasks:
        return True
    tasks = task_options.tasks[option.name or ""]
    return task in tasks or len(tasks) == len(task_options.names)


def _names_of(task_options: TaskOptions, task: str, parameters: Iterable[object]) -> str:
    """The options that a task has and not all others have."""
    options = [parameter for parameter in parameters if isinstance(parameter, TyperOption)]
    names = [option.opts[0] for option in options if task in task_options.tasks.get(option.name or "", ())]
    common = [option.opts[0] for option in options if _is_shown(option, task_options, None)]
    return " ".join(name for name in names if name not in common)


def _kinds(command: TyperCommand) -> dict[str, object]:
    """The types of a command's parameters, without None."""
    if command.callback is None:
        return {}
    kinds: dict[str, object] = {}
    for parameter in inspect.signature(command.callback, eval_str=True).parameters.values():
        kind = parameter.annotation
        kind = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
        parts = [part for part in typing.get_args(kind) if part is not type(None)]
        kinds[parameter.name] = parts[0] if parts else kind
    return kinds


def _argument_name(argument: TyperArgument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    return name if argument.required else f"[{name}]"


def _option_name(option: TyperOption, kind: object) -> str:
    """An option as it is typed: "-h, --help", "--epochs N", "--memory / --no-memory"."""
    names = ", ".join(sorted(option.opts, key=len))
    if option.secondary_opts:
        return f"{names} / {option.secondary_opts[0]}"
    if option.is_flag:
        return names
    parts = typing.get_args(kind)
    kind = parts[0] if parts else kind
    metavar = option.metavar or (METAVARS.get(kind, "TEXT") if isinstance(kind, type) else "TEXT")
    return f"{names} {metavar}"


def _description(parameter: TyperOption | TyperArgument, ctx: Any) -> str:
    """The help of a parameter, with its default."""
    text = " ".join((parameter.help or "").split())
    if parameter.required:
        return text if isinstance(parameter, TyperArgument) else f"{text} [red](required)[/red]"
    default = parameter.show_default if isinstance(parameter.show_default, str) else _default(parameter, ctx)
    return f"{text} [dim](default: {default})[/dim]" if default else text


def _default(parameter: TyperOption | TyperArgument, ctx: Any) -> str:
    """The default as it would be typed; "" where there is none to show."""
    value = parameter.get_default(ctx, call=False)
    if not parameter.show_default or not isinstance(value, int | float | str | Path):
        return ""
    if isinstance(value, bool):
        secondary = parameter.secondary_opts if isinstance(parameter, TyperOption) else []
        return (parameter.opts[0] if value else secondary[0]) if secondary else ""
    return str(value)


def _first_sentence(text: str | None) -> str:
    paragraph = " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".") + "."


def _show_page(usage: str, text: str | None, sections: dict[str, list[Row]]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    rows = [row for section in sections.values() for row in section]
    width = min(FIRST_COLUMN, max((len(name) for name, _ in rows), default=0))
    console.print(_literal(f"Usage: {usage}", "bold"), end="\n\n")
    for paragraph in inspect.cleandoc(text).split("\n\n") if text else ():
        console.print(" ".join(paragraph.split()), end="\n\n")
    for heading, section in sections.items():
        if section:
            console.print(_literal(heading, "bold"))
            console.print(_table(section, width))


def _literal(text: str, style: str = "") -> Text:
    """Text without markup."""
    from rich.text import Text

    return Text(text, style)


def _table(rows: Iterable[Row], width: int) -> RenderableType:
    from rich.padding import Padding
    from rich.table import Column, Table

    table = Table.grid(Column(width=width, overflow="fold"), Column(), padding=(0, 2))
    for name, description in rows:
        table.add_row(_literal(name, "cyan"), description)
    return Padding(table, (0, 0, 0, 2))
