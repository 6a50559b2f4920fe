"""The tasks that networks are trained for: one line each. What is heavy waits until a task is asked for."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from training.tasks.base import TrainingTask

FOLDERS = {
    "pose": "training.tasks.pose",
    "landmarks": "training.tasks.landmarks",
    "classification": "training.tasks.classification",
    "segmentation": "training.tasks.segmentation",
    "detection": "training.tasks.detection",
}


def training_task(name: str) -> TrainingTask:
    """What that task brings to training; HRNetError where there is none of that name."""
    found: TrainingTask = importlib.import_module(f"{_folder(name)}.task").TASK
    return found


def settings_class(name: str) -> type[Any]:
    """The class of a task's settings."""
    found: type[Any] = importlib.import_module(f"{_folder(name)}.settings").Settings
    return found


def default_settings(name: str) -> dict[str, Any]:
    """A task's settings as they are by default, by name."""
    return {field.name: field.default for field in dataclasses.fields(settings_class(name))}


def recipe_folder(name: str) -> Path:
    """Where a task's recipes lie."""
    file = importlib.import_module(_folder(name)).__file__
    return Path(file or "").with_name("recipes")


def _folder(name: str) -> str:
    if name not in FOLDERS:
        raise HRNetError(f"networks for {name} cannot be trained; those for {', '.join(FOLDERS)} can")
    return FOLDERS[name]
