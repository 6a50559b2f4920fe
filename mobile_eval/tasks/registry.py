"""The tasks that can be evaluated: one line each."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from mobile_eval.errors import HRNetError
from mobile_eval.files import write_json
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked, Task, TaskResult
from mobile_eval.tasks.classification import evaluate as classification
from mobile_eval.tasks.detection import evaluate as detection
from mobile_eval.tasks.landmarks import evaluate as landmarks
from mobile_eval.tasks.pose import task as pose
from mobile_eval.tasks.segmentation import evaluate as segmentation

if TYPE_CHECKING:
    from mobile_eval.report.task_report import Comparing

TASKS: dict[str, Task] = {
    "pose": pose.TASK,
    "landmarks": landmarks.TASK,
    "segmentation": segmentation.TASK,
    "classification": classification.TASK,
    "detection": detection.TASK,
}


def task_named(name: str) -> Task:
    """The task of that name; HRNetError where there is none."""
    if name not in TASKS:
        raise HRNetError(f"there is no task {name!r}; there are {', '.join(TASKS)}")
    return TASKS[name]


def comparing_of(name: str) -> Comparing:
    """How models of the task of that name are laid side by side."""
    found: Comparing = importlib.import_module(task_named(name).compared).COMPARING
    return found


def task_of(model: TFLiteModel) -> Task:
    """The evaluation of the model's task."""
    return task_named(model.description.task)


def evaluate_asked(model: TFLiteModel, asked: Asked, *, progress: bool = False) -> TaskResult:
    """Measure `model` as its task is measured, on the data that are asked for."""
    task = task_of(model)
    task.check(model, asked)
    return task.evaluate(model, asked, progress=progress)


def save_figures(path: Path, model: TFLiteModel, asked: Asked, result: TaskResult) -> None:
    """Write what was found, on what, how and with what, as JSON."""
    task, description = task_of(model), model.description
    ran = {"runtime": str(model.runtime), "threads": model.backend.threads, "placement": dataclasses.asdict(model.placement)}
    write_json(path, {"task": description.task, **result.to_json(), **ran, **asked.to_json(task.needs + task.takes)})
