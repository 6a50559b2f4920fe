"""The tasks that can be evaluated."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobile_eval.datasets.base import DataSource, TaskDataset, log_skipped
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_file, write_json
from mobile_eval.tasks.base import AnyTask, TaskResult
from mobile_eval.tasks.classification.task import TASK as CLASSIFICATION
from mobile_eval.tasks.detection.task import TASK as DETECTION
from mobile_eval.tasks.landmarks.task import TASK as LANDMARKS
from mobile_eval.tasks.pose.task import TASK as POSE
from mobile_eval.tasks.segmentation.task import TASK as SEGMENTATION

if TYPE_CHECKING:
    from mobile_eval.runtime.tflite_model import TFLiteModel

TASKS: dict[str, AnyTask] = {task.name: task for task in (POSE, LANDMARKS, SEGMENTATION, CLASSIFICATION, DETECTION)}


def register(task: AnyTask) -> None:
    """Add a task of one's own, so that models are evaluated for it by its name.

    To train networks for it, register it with `training.tasks.registry.register` too.

    Raises:
        HRNetError: A task of that name is registered already.
    """
    if task.name in TASKS:
        raise HRNetError(f"a task named {task.name!r} is registered already")
    TASKS[task.name] = task


def get_task(name: str) -> AnyTask:
    """The task of that name; HRNetError if there is none."""
    if name not in TASKS:
        raise HRNetError(f"there is no task {name!r}; there are {', '.join(TASKS)}")
    return TASKS[name]


def task_of(model: TFLiteModel) -> AnyTask:
    """The task that a model is for; HRNetError for outputs that are of no task."""
    from mobile_eval.model.description import TENSORS

    if model.description.output.kind == TENSORS:
        names = ", ".join(tensor.name for tensor in model.description.outputs)
        raise HRNetError(
            f"{model.path.name} cannot be evaluated: no task has its outputs ({names}); `TFLiteModel.predict` runs it"
        )
    return get_task(model.description.task)


def load_for_model(model: TFLiteModel, source: DataSource, limit: int | None = None) -> TaskDataset:
    """The data set at `source`, for evaluating `model`.

    Args:
        model: The model. Its category decides where the annotations have several and `source` names none.
        source: The data source.
        limit: Number of items to take; all for None.

    Raises:
        HRNetError: The source lacks what the model's task needs, or has what the task does not take.
    """
    task = task_of(model)
    task.check_source(source, f"{model.path.name} is a {task.name} model: evaluating it")
    dataset: TaskDataset = task.load(dataclasses.replace(source, expected=model.description.category.name))
    log_skipped(source, dataset)
    return dataset.head(limit)


def evaluate(
    model: TFLiteModel,
    source: DataSource,
    options: object = None,
    *,
    limit: int | None = None,
    json: Path | None = None,
    progress: bool = False,
) -> TaskResult:
    """Evaluate a model of any task.

    Args:
        model: The model.
        source: The data set to evaluate on.
        options: Options of the model's task, an instance of `Task.options`; the defaults for None.
        limit: Number of items to evaluate; all for None.
        json: JSON file for the figures.
        progress: Show a progress bar.

    Returns:
        The task's result.

    Example:
        >>> result = evaluate(TFLiteModel("pose.tflite"), DataSource(Path("images"), Path("val.json")))  # doctest: +SKIP
        >>> print(result)  # doctest: +SKIP
    """
    check_output_file(json)
    task = task_of(model)
    dataset = load_for_model(model, source, limit)
    options = task.options() if options is None else options
    result: TaskResult = task.evaluate(model, dataset, options, progress=progress)
    if json:
        write_json(json, evaluation_json(model, source, limit, options, result))
    if task.finish:
        task.finish(options)
    return result


def evaluation_json(
    model: TFLiteModel, source: DataSource, limit: int | None, options: Any, result: TaskResult
) -> dict[str, Any]:
    """An evaluation as plain data: the figures, the runtime, the options, and under "data" the files and folders."""
    fields: Mapping[str, Any] = {
        **{name: getattr(source, name) for name in task_of(model).needs + task_of(model).takes},
        **{field.name: getattr(options, field.name) for field in dataclasses.fields(options)},
    }
    files = {name: str(value) for name, value in fields.items() if isinstance(value, Path)}
    return {
        "task": model.description.task,
        **result.to_json(),
        "runtime": str(model.runtime),
        "threads": model.backend.threads,
        "placement": dataclasses.asdict(model.placement),
        "options": {"limit": limit, **{name: value for name, value in fields.items() if name not in files}},
        "data": files,
    }
