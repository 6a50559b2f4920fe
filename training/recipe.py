"""Recipes: the settings of a training as data, in a YAML file each, and what a command line changes of one.

A task's own lie in its folder. A recipe holds what every training has (`COMMON`) and its task's settings.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.typed import brief
from training.config import TrainingConfig
from training.tasks.registry import recipe_folder, settings_class

COMMON = (
    "epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule", "warmup_epochs", "lr_milestones",
    "link_dropout", "precision", "accumulate", "ema",
)  # fmt: skip
# What PyYAML raises besides its own errors, for values such as `!!bool x`, `!!timestamp x` and 2001-99-99.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
KINDS: dict[str, Any] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}


def recipe_settings(task: str) -> dict[str, str]:
    """What a recipe of that task may say, and of what kind ("float", "tuple[int, ...]", ...) each is."""
    fields = [field for field in dataclasses.fields(TrainingConfig) if field.name in COMMON]
    return {field.name: str(field.type) for field in (*fields, *dataclasses.fields(settings_class(task)))}


def recipe_names(task: str) -> list[str]:
    """The recipes that come with the package."""
    folder = recipe_folder(task)
    return sorted(path.stem for path in folder.glob("*.yaml")) if folder else []


def load_recipe(task: str, name: str) -> dict[str, Any]:
    """The settings of a recipe: a name, or a .yaml file. HRNetError, in one line, for what is no setting or of another kind."""
    folder = recipe_folder(task)
    path = Path(name) if name.endswith((".yaml", ".yml")) else (folder or Path()) / f"{name}.yaml"
    if path.stem == name and not path.is_file():
        raise HRNetError(f"no recipe for {task} named {name!r}; there are {', '.join(recipe_names(task))}, or give a .yaml file")
    data = _parsed(path)
    if not isinstance(data, dict):
        raise HRNetError(f"recipe {path} must hold lines such as `epochs: 210`")
    known = recipe_settings(task)
    return {key: _checked(key, value, known, path) for key, value in data.items()}


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.safe_load(text)
    except OSError as error:
        raise HRNetError(f"cannot read recipe {path}: {error.strerror}") from error
    except RecursionError:
        raise HRNetError(f"recipe {path} is not YAML that can be read: it is nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HRNetError(f"recipe {path} is not YAML: {' '.join(str(error).split())}") from error
    except UNREADABLE as error:
        raise HRNetError(
            f"recipe {path}, line {_unreadable_line(text)}: the value is not of the kind that its form or tag says"
        ) from error


def _unreadable_line(text: str) -> int:
    """The number of the first line whose value PyYAML cannot make, in YAML of one setting a line."""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            yaml.safe_load(line)
        except UNREADABLE:
            return number
        except yaml.YAMLError:
            continue
    return 1


def _checked(key: Any, value: Any, known: dict[str, str], path: Path) -> Any:
    if key not in known:
        raise HRNetError(f"recipe {path}: no setting named {brief(key)}; there are {', '.join(known)}")
    kind = known[key]
    if kind.startswith("tuple["):
        own = kind.removeprefix("tuple[").split(",")[0]
        if not isinstance(value, list) or not all(_is_of(kind=own, value=entry) for entry in value):
            raise HRNetError(f"recipe {path}: {key} must be a list of kind {own} such as [170, 200], got {brief(value)}")
        return tuple(KINDS[own][-1](entry) for entry in value)
    if not _is_of(kind=kind, value=value):
        raise HRNetError(f"recipe {path}: {key} must be of kind {kind}, got {brief(value)}")
    return float(value) if kind == "float" else value


def _is_of(kind: str, value: Any) -> bool:
    if isinstance(value, float | int) and not (abs(value) < 2**63):  # NaN, infinite, or beyond what a number is stored in
        return False
    return isinstance(value, KINDS[kind]) and (kind == "bool" or not isinstance(value, bool))


def recipe_config(
    task: str,
    recipe: dict[str, Any],
    given: dict[str, Any],
    sources: tuple[DataSource, DataSource | None],
    *,
    seed: int,
    distill_weight: float,
) -> TrainingConfig:
    """The settings of a recipe, with what is `given` (not None) in their place; `sources` of training and validation data."""
    merged = {**recipe, **{name: value for name, value in given.items() if value is not None}}
    if "epochs" not in merged:
        raise HRNetError("the recipe says no epochs: give `epochs`")
    common = {name: value for name, value in merged.items() if name in COMMON}
    own = {name: value for name, value in merged.items() if name not in COMMON}
    train, val = sources
    return TrainingConfig(train, val, settings_class(task)(**own), task=task, **common, seed=seed, distill_weight=distill_weight)


def parse_list(name: str, text: str, kind: str = "int") -> tuple[Any, ...]:
    """Values of that kind from "170,200"; none from ""."""
    try:
        return tuple(KINDS[kind][-1](part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise HRNetError(f"`{name}` takes {kind} with commas between, such as 170,200; got {text!r}") from None


def show_recipe(name: str, config: TrainingConfig) -> None:
    """Print what the training goes by, and what of it is not the recipe's."""
    recipe, settings = load_recipe(config.task, name), {**config.to_json()}
    table = Table("setting", "value", "", title=f"recipe {name}", title_justify="left", box=None)
    for setting in recipe_settings(config.task):
        value, said = settings[setting], recipe.get(setting)
        said = list(said) if isinstance(said, tuple) else said
        changed = setting in recipe and said != value
        table.add_row(setting, _shown(value), f"instead of {_shown(said)}" if changed else "")
    Console().print(table)


def _shown(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
