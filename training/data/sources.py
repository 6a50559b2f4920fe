"""Where training and validation data are: from options and, for a run, from what it was trained on."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mobile_eval.datasets.base import PATHS, DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.options import listed
from mobile_eval.tasks.registry import TASKS
from training.data.options import TrainingData
from training.tasks.registry import training_task

if TYPE_CHECKING:
    from hrnet_tf.runs.run import Run

logger = logging.getLogger(__name__)

CHOICES = ("category", "strict", "exif")
# How the options of a source are called, where not as its fields.
TRAIN_NAMES = {"annotations": "train_annotations"}
VAL_NAMES = {"images": "val_images", "annotations": "val_annotations", "masks": "val_masks"}
NO_NAMES: Mapping[str, str] = {}


def training_sources(task: str, data: TrainingData) -> tuple[DataSource, DataSource | None]:
    """Return the sources of a training from scratch.

    Args:
        task: Name of the task.
        data: Files and folders.

    Returns:
        The training set, and the validation set; None where nothing of it is set.

    Raises:
        HRNetError: Something is missing that the task needs, or set that it does not take.
    """
    training_task(task)  # refuses a task that cannot be trained before asking for data
    needs = TASKS[task].needs
    names = [TRAIN_NAMES.get(name, name) for name in needs]
    for need, name in zip(needs, names, strict=True):
        if getattr(data.train, need) is None:
            raise HRNetError(f"{task} needs {listed(names, ' and ')}: `{name}` is missing")
    _check_taken(task, data.train, TRAIN_NAMES)
    return data.train, validation_source(task, data, data.train)


def validation_source(
    task: str, data: TrainingData, train: DataSource, names: Mapping[str, str] = VAL_NAMES
) -> DataSource | None:
    """Return the validation set; None where nothing of it is set. What is not set is that of the training set.

    Args:
        task: Name of the task.
        data: Files and folders.
        train: The training set.
        names: Names of the options of the validation set, where not as its fields, for messages.

    Raises:
        HRNetError: Something is set that the task does not take, or images without their labels.
    """
    needs = TASKS[task].needs
    _check_taken(task, data.val, names)
    changes = _set_fields(data.val)
    labels = [name for name in needs if name != "images"]
    if changes and labels and not any(name in changes for name in labels):
        raise HRNetError(f"`{names['images']}` needs {listed((names.get(name, name) for name in labels), ' and ')}")
    return dataclasses.replace(train, **changes) if changes else None


def run_source(run: Run, source: DataSource, names: Mapping[str, str] = NO_NAMES) -> DataSource:
    """Return the training set of a run, with other files and folders where these are set.

    Args:
        run: The run.
        source: Files and folders to use instead of the run's.
        names: Names of the options of the source, where not as its fields, for messages.

    Raises:
        HRNetError: Something is missing that the task needs, set that it does not take, or not on the disk.
    """
    task = run.spec.task
    source = _with_changes(run, "train", source, names)
    needs = TASKS[task].needs
    if missing := next((name for name in needs if getattr(source, name) is None), None):
        needed = listed((names.get(name, name) for name in needs), " and ")
        raise HRNetError(
            f"{run.path} has no record of its training data: give {needed}; `{names.get(missing, missing)}` is missing"
        )
    if absent := _absent_path(source):
        where = source.path(absent)
        raise HRNetError(f"the training data of {run.path} are not at {where}: give `{names.get(absent, absent)}`")
    return source


def run_sources(run: Run, data: TrainingData) -> tuple[DataSource, DataSource | None]:
    """Return the training and validation set of a run, with other files and folders where these are set.

    What the two sets of the run share stays shared. Where other training data are set and the validation data of the run no
    longer exist, there is no validation, and a warning says so.

    Args:
        run: The run.
        data: Files and folders to use instead of the run's.

    Raises:
        HRNetError: As `run_source` does.
    """
    task, train = run.spec.task, run_source(run, data.train, TRAIN_NAMES)
    if not run.config.get("val"):
        return train, validation_source(task, data, train)
    run_train, run_val = (_run_data(run, name) for name in ("train", "val"))
    val = _with_changes(run, "val", data.val, VAL_NAMES)
    changes = _set_fields(data.val)
    shared = [name for name in (*PATHS, *CHOICES) if getattr(run_val, name) == getattr(run_train, name)]
    val = dataclasses.replace(val, **{name: getattr(train, name) for name in shared if name not in changes})
    absent = _absent_path(val)
    if absent and _set_fields(data.train) and not changes:
        logger.warning("no validation: %s does not exist", val.path(absent))
        return train, None
    if absent:
        raise HRNetError(f"the validation data of {run.path} are not at {val.path(absent)}: give `{VAL_NAMES[absent]}`")
    return train, val


def _with_changes(run: Run, name: str, changes: DataSource, names: Mapping[str, str]) -> DataSource:
    """Return the source `name` of a run, with what is set of `changes` in its place."""
    training_task(run.spec.task)  # refuses a task that cannot be trained before asking for data
    _check_taken(run.spec.task, changes, names)
    return dataclasses.replace(_run_data(run, name), **_set_fields(changes))


def _run_data(run: Run, name: str) -> DataSource:
    return dataclasses.replace(DataSource.from_json(run.config.get(name) or {}), expected=run.category["name"])


def _absent_path(source: DataSource) -> str | None:
    """Return the name of the first file or folder that does not exist."""
    return next((name for name in PATHS if (path := getattr(source, name)) is not None and not path.exists()), None)


def _set_fields(source: DataSource) -> dict[str, Any]:
    return {name: value for name in (*PATHS, *CHOICES) if (value := getattr(source, name)) not in (None, False)}


def _check_taken(task: str, source: DataSource, names: Mapping[str, str]) -> None:
    taken: Iterable[str] = (*TASKS[task].needs, *TASKS[task].takes)
    for name in _set_fields(source):
        if name not in taken:
            raise HRNetError(f"`{names.get(name, name)}` cannot be used for {task}")
