"""The tasks that networks can be trained for. What is heavy is imported when a task is first used."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobile_eval.errors import HRNetError
from training.tasks.classification.settings import ClassificationSettings
from training.tasks.detection.settings import DetectionSettings
from training.tasks.landmarks.settings import LandmarkSettings
from training.tasks.pose.settings import PoseSettings
from training.tasks.segmentation.settings import SegmentationSettings
from training.tasks.settings import TaskSettings

if TYPE_CHECKING:
    from training.tasks.base import AnyTrainingTask

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class TaskEntry:
    """An entry of the registry.

    Args:
        settings: Class of the task's settings.
        load: Imports and returns the task.
        recipes: Folder of the task's recipes, YAML files; None for a task without any.
    """

    settings: type[TaskSettings]
    load: Callable[[], AnyTrainingTask]
    recipes: Path | None = None


def _pose() -> AnyTrainingTask:
    from training.tasks.pose.task import TASK

    return TASK


def _landmarks() -> AnyTrainingTask:
    from training.tasks.landmarks.task import TASK

    return TASK


def _classification() -> AnyTrainingTask:
    from training.tasks.classification.task import TASK

    return TASK


def _segmentation() -> AnyTrainingTask:
    from training.tasks.segmentation.task import TASK

    return TASK


def _detection() -> AnyTrainingTask:
    from training.tasks.detection.task import TASK

    return TASK


TRAINING_TASKS = {
    "pose": TaskEntry(PoseSettings, _pose, FOLDER / "pose" / "recipes"),
    "landmarks": TaskEntry(LandmarkSettings, _landmarks, FOLDER / "landmarks" / "recipes"),
    "classification": TaskEntry(ClassificationSettings, _classification, FOLDER / "classification" / "recipes"),
    "segmentation": TaskEntry(SegmentationSettings, _segmentation, FOLDER / "segmentation" / "recipes"),
    "detection": TaskEntry(DetectionSettings, _detection, FOLDER / "detection" / "recipes"),
}


def register(name: str, entry: TaskEntry) -> None:
    """Add a task of one's own, so that networks can be trained for it by its name.

    Args:
        name: The task's name, as in `HRNetSpec.task`.
        entry: Its settings, its recipes and how it is loaded.

    Raises:
        HRNetError: A task of that name is registered already.

    Example:
        >>> register("depth", TaskEntry(TaskSettings, load=lambda: DEPTH_TASK))  # doctest: +SKIP
    """
    if name in TRAINING_TASKS:
        raise HRNetError(f"a training task named {name!r} is registered already")
    TRAINING_TASKS[name] = entry


def training_task(name: str) -> AnyTrainingTask:
    """Return the training side of a task; HRNetError where no task of that name can be trained."""
    return _entry(name).load()


def settings_class(name: str) -> type[TaskSettings]:
    """Return the class of a task's settings."""
    return _entry(name).settings


def setting_types(name: str) -> dict[str, str]:
    """Return the type of each of a task's settings by name, such as "float" or "tuple[int, ...]"."""
    return {field.name: str(field.type) for field in dataclasses.fields(settings_class(name))}


def recipe_folder(name: str) -> Path | None:
    """Return the folder of a task's recipes; None for a task without recipes."""
    return _entry(name).recipes


def _entry(name: str) -> TaskEntry:
    if name not in TRAINING_TASKS:
        raise HRNetError(f"networks for {name!r} cannot be trained; those for {', '.join(TRAINING_TASKS)} can")
    return TRAINING_TASKS[name]
