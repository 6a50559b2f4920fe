"""Options of commands, made of the dataclasses that declare them (`mobile_eval.options`)."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer

from mobile_eval.cli.completion import completed
from mobile_eval.cli.help import FIRST_COLUMN, TASK_OPTIONS, TaskOptions
from mobile_eval.options import DeclaredOption, checked_options, options_of

Command = Callable[..., None]
Values = dict[str, object]


def with_options(command: Command) -> Command:
    """A command for typer: each parameter whose type is a dataclass becomes the options that it declares.

    The command is called with an instance of the dataclass, made of the values that were typed.

    Example:
        >>> @with_options  # doctest: +SKIP
        ... def evaluate(model: Path, source: DataSource) -> None: ...
    """
    parameters = inspect.signature(command, eval_str=True).parameters.values()
    kinds = ((parameter.name, parameter.annotation) for parameter in parameters)
    declaring: dict[str, type] = {name: kind for name, kind in kinds if _declares_options(kind)}

    def call(values: Values) -> None:
        for name, kind in declaring.items():
            typed = _typed_values(values, [option.name for option in options_of(kind)])
            values[name] = kind(**checked_options(kind, typed, command.__name__))
        command(**values)

    signature: list[inspect.Parameter] = []
    for parameter in parameters:
        kind = declaring.get(parameter.name)
        signature += [parameter] if kind is None else [parameter_of(option) for option in options_of(kind)]
    return _typer_command(command, signature, call)


def with_options_by_task(
    classes: Mapping[str, type], task_of: Callable[[str], str | None] = lambda word: None, *, only: tuple[str, ...] = ()
) -> Callable[[Command], Command]:
    """A decorator that replaces a command's parameter `options` by the options of every task.

    The command is called with the typed values by name; the task that is known by then checks them. Its help page shows those of
    all tasks, and those of the task that is among the arguments (`mobile_eval.cli.help`).

    Args:
        classes: Dataclass of the options of each task, by the task's name.
        task_of: Returns the task of an argument, such as the name of a model; None if it names none.
        only: Names of the options to offer; all by default.
    """

    def decorate(command: Command) -> Command:
        tasks: dict[str, list[str]] = {}
        options: dict[str, DeclaredOption] = {}
        for task, kind in classes.items():
            for option in options_of(kind):
                if not only or option.name in only:
                    tasks.setdefault(option.name, []).append(task)
                    options.setdefault(option.name, option)

        def call(values: Values) -> None:
            typed = _typed_values(values, options)
            command(**values, options=typed)

        signature: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            by_task = [parameter_of(option) for option in options.values()]
            signature += by_task if parameter.name == "options" else [parameter]
        typer_command = _typer_command(command, signature, call)
        vars(typer_command)[TASK_OPTIONS] = TaskOptions({name: tuple(names) for name, names in tasks.items()}, task_of)
        return typer_command

    return decorate


def parameter_of(option: DeclaredOption) -> inspect.Parameter:
    """A parameter of a command for typer. It is None where nothing was typed, so that the dataclass's default counts."""
    kinds: dict[type, Any] = {tuple: str, list: list[str]}  # tuples are typed with commas
    kind = kinds.get(option.kind, option.kind)
    names = [f"--{(option.typed_name or option.name).replace('_', '-')}"]
    if option.kind is bool and option.default is not False:  # None: unset by default, and can be switched both ways
        names[0] += f"/--no-{names[0].removeprefix('--')}"
    default = option.default
    number_or_text = isinstance(default, int | float | str) and not isinstance(default, bool) and default != ""
    shown = str(default) if number_or_text else names[0].split("/")[0] if default is True else False
    choices = "|".join(option.choices)
    info = typer.Option(
        *names,
        help=option.help,
        show_default=shown,
        min=option.minimum,
        rich_help_panel=option.panel,
        metavar=choices if choices and len(f"{names[0]} {choices}") <= FIRST_COLUMN else None,
        autocompletion=completed(option.choices) if option.choices else None,
    )
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, info])


def _declares_options(kind: object) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _typed_values(values: Values, names: Iterable[str]) -> Values:
    """Take the values of these names out of `values`; only those that were typed."""
    taken = {name: values.pop(name) for name in names}
    return {name: value for name, value in taken.items() if value is not None and value != []}


def _typer_command(command: Command, parameters: list[inspect.Parameter], call: Callable[[Values], None]) -> Command:
    """A function with this signature, which typer reads."""

    @functools.wraps(command)
    def run(**values: object) -> None:
        call(values)

    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    vars(run)["__signature__"] = inspect.Signature(keyword_only)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword_only}
    vars(run).pop("__wrapped__", None)
    return run
