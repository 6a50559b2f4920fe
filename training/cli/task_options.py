"""Options of `hrnet train` for the settings of every task, made of their declarations (`training.tasks`)."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobile_eval.errors import HRNetError
from training.tasks.registry import TRAINING_TASKS, settings_class

if TYPE_CHECKING:
    from training.config import TrainingConfig

TYPES = {"int": int, "float": float, "bool": bool, "str": str}
SETTINGS = "settings"


def with_task_settings(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with an option for each setting of any task; what was given of them is its argument `settings`, by name."""
    options = setting_options()

    def typed(**values: Any) -> None:
        settings = {option.name: values.pop(option.name) for option in options}
        command(**values, settings={name: value for name, value in settings.items() if value is not None})

    signature = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != SETTINGS]
    by_name = {parameter.name: parameter for parameter in (*own, *options)}
    vars(typed)["__signature__"] = signature.replace(parameters=list(by_name.values()))
    typed.__annotations__ = {name: parameter.annotation for name, parameter in by_name.items()}
    typed.__name__, typed.__doc__ = command.__name__, command.__doc__
    return typed


def setting_options() -> list[inspect.Parameter]:
    """An option for each setting, under a heading that says which tasks have it."""
    tasks: dict[str, list[str]] = {}
    fields: dict[str, dataclasses.Field[Any]] = {}
    for task in TRAINING_TASKS:
        for field in dataclasses.fields(settings_class(task)):
            tasks.setdefault(field.name, []).append(task)
            fields.setdefault(field.name, field)
    return [_option(fields[name], owners) for name, owners in tasks.items()]


def _option(field: dataclasses.Field[Any], tasks: list[str]) -> inspect.Parameter:
    heading = f"Of {', '.join(tasks)}, instead of the recipe's"
    option = typer.Option(help=field.metadata["help"], rich_help_panel=heading, show_default=False)
    kind: Any = TYPES.get(str(field.type), str)
    annotation: Any = Annotated[kind | None, option]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def with_given(config: TrainingConfig, given: dict[str, Any]) -> TrainingConfig:
    """The config with what was given (not None) of its task's settings in place of what it has."""
    settings = settings_of(config.task, {name: value for name, value in given.items() if value is not None})
    return dataclasses.replace(config, settings=dataclasses.replace(config.settings, **settings))


def settings_of(task: str, given: dict[str, Any]) -> dict[str, Any]:
    """What was given, as this task's settings take it; HRNetError for one that only other tasks have, or that cannot be read."""
    from training.recipe import parse_list

    own = {field.name: str(field.type) for field in dataclasses.fields(settings_class(task))}
    for name in given:
        if name not in own:
            known = ", ".join(f"`{name}`" for name in own)
            raise HRNetError(f"`{name}` is not for {task}; it takes {known}")
    lists = {name: kind.removeprefix("tuple[").split(",")[0] for name, kind in own.items() if kind.startswith("tuple[")}
    return {name: parse_list(name, value, lists[name]) if name in lists else value for name, value in given.items()}
