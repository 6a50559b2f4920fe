"""The tasks that networks can be trained for. What is heavy is imported when a task is first used."""

from __future__ import annotations

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
    from training.data.synthetic.layouts import Layout
    from training.tasks.base import AnyTrainingTask

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class TaskEntry:
    """An entry of the registry.

    Args:
        settings: Class of the task's settings.
        load: Imports and returns the task.
        recipes: Folder of the task's recipes, YAML files; None for a task without any.
        synthetic: Imports and returns the layout of the task's synthetic data; None for a task without any.
    """

    settings: type[TaskSettings]
    load: Callable[[], AnyTrainingTask]
    recipes: Path | None = None
    synthetic: Callable[[], type[Layout]] | None = None


def _pose() -> AnyTrainingTask:
    from training.tasks.pose.task import TASK

    return TASK


def _pose_layout() -> type[Layout]:
    from training.tasks.pose.synthetic import PoseLayout

    return PoseLayout


def _landmarks() -> AnyTrainingTask:
    from training.tasks.landmarks.task import TASK

    return TASK


def _landmarks_layout() -> type[Layout]:
    from training.tasks.landmarks.synthetic import LandmarkLayout

    return LandmarkLayout


def _classification() -> AnyTrainingTask:
    from training.tasks.classification.task import TASK

    return TASK


def _classification_layout() -> type[Layout]:
    from training.tasks.classification.synthetic import SideLayout

    return SideLayout


def _segmentation() -> AnyTrainingTask:
    from training.tasks.segmentation.task import TASK

    return TASK


def _segmentation_layout() -> type[Layout]:
    from training.tasks.segmentation.synthetic import MaskLayout

    return MaskLayout


def _detection() -> AnyTrainingTask:
    from training.tasks.detection.task import TASK

    return TASK


def _detection_layout() -> type[Layout]:
    from training.tasks.detection.synthetic import InstanceLayout

    return InstanceLayout


TRAINING_TASKS = {
    "pose": TaskEntry(PoseSettings, _pose, FOLDER / "pose" / "recipes", _pose_layout),
    "landmarks": TaskEntry(LandmarkSettings, _landmarks, FOLDER / "landmarks" / "recipes", _landmarks_layout),
    "classification": TaskEntry(
        ClassificationSettings, _classification, FOLDER / "classification" / "recipes", _classification_layout
    ),
    "segmentation": TaskEntry(SegmentationSettings, _segmentation, FOLDER / "segmentation" / "recipes", _segmentation_layout),
    "detection": TaskEntry(DetectionSettings, _detection, FOLDER / "detection" / "recipes", _detection_layout),
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


def recipe_folder(name: str) -> Path | None:
    """Return the folder of a task's recipes; None for a task without recipes."""
    return _entry(name).recipes


def synthetic_layout(name: str) -> type[Layout]:
    """Return the layout of a task's synthetic data; HRNetError where there is none."""
    layout = TRAINING_TASKS[name].synthetic if name in TRAINING_TASKS else None
    if layout is None:
        known = [task for task, entry in TRAINING_TASKS.items() if entry.synthetic]
        raise HRNetError(f"`task` must be one of {', '.join(known)}, got {name!r}")
    return layout()


def _entry(name: str) -> TaskEntry:
    if name not in TRAINING_TASKS:
        raise HRNetError(f"networks for {name!r} cannot be trained; those for {', '.join(TRAINING_TASKS)} can")
    return TRAINING_TASKS[name]
