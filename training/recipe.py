"""Recipes: the settings of a training as data, in a YAML file each, and what a command line changes of one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from training.config import TrainingConfig

FOLDER = Path(__file__).with_name("recipes")
SETTINGS = (
    "epochs", "batch_size", "learning_rate", "schedule", "warmup_epochs", "drops", "targets", "sigma", "loss",
    "half_body_probability", "scale", "rotation", "rotation_probability", "flip_probability", "link_dropout",
    "mixed_precision", "accumulate", "ema",
)  # fmt: skip
KINDS: dict[str, Any] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}
OF_THE_PAPER = ("pose-w32", "pose-w48")
LARGE = (384, 288)  # the papers' other input size, whose Gaussians are wider


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def default_recipe(model: str, input_size: tuple[int, int]) -> str:
    """The recipe that a model is trained by unless told otherwise: the paper's for its networks."""
    if model not in OF_THE_PAPER:
        return "small"
    return "coco-384x288" if input_size == LARGE else "coco"


def load_recipe(name: str) -> dict[str, Any]:
    """The settings of a recipe: a name, or a .yaml file. ValueError, in one line, for what is no setting or of another kind."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if path.parent == FOLDER and not path.is_file():
        raise ValueError(f"no recipe named {name!r}; there are {', '.join(recipe_names())}, or give a .yaml file")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"recipe {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ValueError(f"recipe {path} must hold lines such as `epochs: 210`")
    return {key: _checked(key, value, path) for key, value in data.items()}


def _checked(key: Any, value: Any, path: Path) -> Any:
    if key not in SETTINGS:
        raise ValueError(f"recipe {path}: no setting named {key!r}; there are {', '.join(SETTINGS)}")
    kind = str(next(field.type for field in dataclasses.fields(TrainingConfig) if field.name == key))
    if kind not in KINDS:  # a list of whole numbers
        if not isinstance(value, list) or not all(type(entry) is int for entry in value):
            raise ValueError(f"recipe {path}: {key} must be a list of whole numbers such as [170, 200], got {value!r}")
        return tuple(value)
    if not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise ValueError(f"recipe {path}: {key} must be of kind {kind}, got {value!r}")
    return float(value) if kind == "float" else value


def recipe_config(
    recipe: dict[str, Any], given: dict[str, Any], people: dict[str, Any], *, seed: int, distill: float
) -> TrainingConfig:
    """The settings of a recipe, with what is `given` (not None) in their place."""
    settings = {**recipe, **{name: value for name, value in given.items() if value is not None}}
    if "epochs" not in settings:
        raise ValueError("the recipe says no epochs: give --epochs")
    return TrainingConfig(**people, **settings, seed=seed, distill=distill)


def parse_drops(text: str | None) -> tuple[int, ...] | None:
    """Epochs from "170,200"; none from ""."""
    try:
        return None if text is None else tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(f"--drops are epochs such as 170,200, got {text!r}") from None


def show_recipe(name: str, config: TrainingConfig) -> None:
    """Print what the training goes by, and what of it is not the recipe's."""
    recipe = load_recipe(name)
    table = Table("setting", "value", "", title=f"recipe {name}", title_justify="left", box=None)
    for setting in SETTINGS:
        value = getattr(config, setting)
        changed = setting in recipe and recipe[setting] != value
        table.add_row(setting, _shown(value), f"instead of {_shown(recipe[setting])}" if changed else "")
    Console().print(table)


def _shown(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value)
