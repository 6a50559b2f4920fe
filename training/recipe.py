"""Recipes: YAML files with the settings of a training. The command line can change each of them.

The recipes of a task are in its folder. A recipe has settings of the schedule, the optimizer and the task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.options import listed
from mobile_eval.typed import brief, checked
from training.config import TrainingConfig, value_types
from training.tasks.registry import recipe_folder, settings_class, training_task

COMMON = (
    "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "lr_schedule", "warmup_epochs", "lr_milestones",
    "lr_factor", "link_dropout", "elastic", "precision", "accumulate", "ema",
)  # fmt: skip
TEACHER_WEIGHT = 0.5  # `distill_weight` of a training with a teacher, unless it is set
# What PyYAML raises besides its own errors, for values such as `!!bool x`, `!!timestamp x` and 2001-99-99.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


def recipe_settings(task: str) -> dict[str, Any]:
    """Return the type of each setting that a recipe of a task may have, by its name."""
    types = value_types(task)
    return {name: types[name] for name in (*COMMON, *(field.name for field in dataclasses.fields(settings_class(task))))}


def recipe_names(task: str) -> list[str]:
    """Return the names of a task's own recipes."""
    folder = recipe_folder(task)
    return sorted(path.stem for path in folder.glob("*.yaml")) if folder else []


def default_recipe(spec: Network) -> str | None:
    """Return the name of the recipe that a network is trained with if none is named; None if its task has no recipe for it."""
    if isinstance(spec, BaselineSpec):
        return spec.recipe
    recipe = training_task(spec.task).recipe
    return recipe(spec) if recipe else None


def load_recipe(task: str, name: str) -> dict[str, object]:
    """Load a recipe.

    Args:
        task: Name of the task.
        name: Name of one of its recipes, or path of a .yaml file.

    Returns:
        Its settings by name.

    Raises:
        HRNetError: There is no such recipe, it is not YAML, a setting is unknown, or a value has the wrong type.
    """
    path, folder = Path(name), recipe_folder(task)
    if path.suffix not in (".yaml", ".yml"):
        path = (folder or Path()) / f"{name}.yaml"
        if folder is None or path.parent != folder or not path.is_file():
            names = f"there are {', '.join(recipe_names(task))}, or " if folder else ""
            raise HRNetError(f"no recipe for {task} is named {name!r}; {names}give a .yaml file")
    data, types = _parsed(path), recipe_settings(task)
    if not isinstance(data, dict):
        raise HRNetError(f"recipe {path} must have lines such as `epochs: 210`")
    for key in data:
        if key not in types:
            raise HRNetError(f"recipe {path}: no setting is named {brief(key)}; there are {listed(types)}")
    return {key: checked(value, types[key], f"recipe {path}: {key}") for key, value in data.items()}


def _parsed(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.safe_load(text)
    except OSError as error:
        raise HRNetError(f"cannot read recipe {path}: {error.strerror}") from error
    except RecursionError:
        raise HRNetError(f"recipe {path} is nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HRNetError(f"recipe {path} is not YAML: {' '.join(str(error).split())}") from error
    except UNREADABLE as error:
        raise HRNetError(f"recipe {path}, line {_unreadable_line(text)}: the value does not fit its form or tag") from error


def _unreadable_line(text: str) -> int:
    """Return the number of the first line whose value PyYAML cannot read, where each line is a setting."""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            yaml.safe_load(line)
        except UNREADABLE:
            return number
        except yaml.YAMLError:
            continue
    return 1


def recipe_config(
    task: str, recipe: Mapping[str, object], train: DataSource, val: DataSource | None, changes: Mapping[str, object]
) -> TrainingConfig:
    """Make a config from a recipe.

    Args:
        task: Name of the task.
        recipe: Settings of a recipe (see `load_recipe`).
        train: The training set.
        val: The validation set, if any.
        changes: Values by name that replace or add to those of the recipe.

    Raises:
        HRNetError: Neither the recipe nor the changes have `epochs`, or a value cannot be used.

    Example:
        >>> recipe_config("pose", load_recipe("pose", "small"), train, None, {"epochs": 30})  # doctest: +SKIP
    """
    values = {**recipe, **changes}
    if "epochs" not in values:
        raise HRNetError("the recipe does not set `epochs`: give it")
    return TrainingConfig.from_values(task, {**values, "train": train, "val": val})


def show_recipe(name: str, config: TrainingConfig) -> None:
    """Print the settings of a training, and which of them differ from those of the recipe."""
    recipe, values = load_recipe(config.task, name), config.values()
    table = Table("setting", "value", "", title=f"recipe {name}", title_justify="left", box=None)
    for setting in recipe_settings(config.task):
        value = values[setting]
        changed = setting in recipe and recipe[setting] != value
        table.add_row(setting, _text(value), f"instead of {_text(recipe[setting])}" if changed else "")
    Console().print(table)


def _text(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)
