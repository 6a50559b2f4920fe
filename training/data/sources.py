"""Where training and validation data lie: from what was typed and, of a run, from what it was trained on."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from hrnet_tf.runs.run import Run
from mobile_eval.datasets.base import PATHS, DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.registry import TASKS
from training.tasks.registry import training_task

logger = logging.getLogger(__name__)

# The options of a source: of training data, of validation data, and of data to rank on.
CHOICE = {"category": "category", "strict": "strict", "exif": "exif"}
TRAIN = {"images": "images", "annotations": "train_annotations", "masks": "masks", "classes": "classes", **CHOICE}
VAL = {"images": "val_images", "annotations": "val_annotations", "masks": "val_masks"}
RANK = {"images": "images", "annotations": "annotations", "masks": "masks", "classes": "classes", **CHOICE}
ABSENT = (None, False)


def asked_source(task: str, asked: Mapping[str, Any], options: Mapping[str, str] = RANK) -> DataSource:
    """The data that these options name; HRNetError for what the task needs and is not given, and for what is another task's."""
    needs, takes = TASKS[task].needs, TASKS[task].takes
    training_task(task)  # refuses a task that cannot be trained before it asks for data
    for name, option in options.items():
        if name in needs and asked.get(option) is None:
            raise HRNetError(f"{task} needs {_listed(options[need] for need in needs)}: `{option}` is missing")
    _check_own(task, asked, options, (*needs, *takes))
    return DataSource(**{name: asked[option] for name, option in options.items() if asked.get(option) not in ABSENT})


def asked_sources(task: str, asked: Mapping[str, Any]) -> tuple[DataSource, DataSource | None]:
    """Training data, and validation data: None where nothing of them is given; what is not given of them is the training's.

    Raises HRNetError as `asked_source` does, and where the images to validate on are without what goes with them.
    """
    train = asked_source(task, asked, TRAIN)
    return train, _val_source(task, asked, train)


def _val_source(task: str, asked: Mapping[str, Any], train: DataSource) -> DataSource | None:
    """Validation data: None where nothing of them is given; what is not given of them is the training's."""
    needs = TASKS[task].needs
    _check_own(task, asked, VAL, (*needs, *TASKS[task].takes))
    others = {name: asked[option] for name, option in VAL.items() if asked.get(option) is not None}
    beside = [name for name in needs if name != "images"]
    if others and beside and not any(name in others for name in beside):
        raise HRNetError(f"`val_images` goes with {_listed(VAL[name] for name in beside)}")
    return dataclasses.replace(train, **others) if others else None


def run_source(run: Run, asked: Mapping[str, Any], options: Mapping[str, str] = RANK) -> DataSource:
    """The data that a run was trained on, with those that these options name in their place.

    Raises HRNetError for what is needed and neither known nor given, what is another task's, and what is not there.
    """
    task = run.spec.task
    source = _overridden(run, "train", task, asked, options)
    needs = TASKS[task].needs
    if lacking := next((name for name in needs if getattr(source, name) is None), None):
        needed = _listed(options[name] for name in needs)
        raise HRNetError(f"{run.path} does not say what it was trained on: give {needed}; `{options[lacking]}` is missing")
    if missing := _missing(source):
        where = source.path(missing)
        raise HRNetError(f"the data that {run.path} was trained on are not at {where}: give `{options[missing]}`")
    return source


def run_sources(run: Run, asked: Mapping[str, Any]) -> tuple[DataSource, DataSource | None]:
    """The training and validation data of a run, with those that the options name in their place.

    What the run's two sets have in common stays in common. Validation data that are not there any more are left out, with a
    line that says so, where other training data are given.
    """
    task, train = run.spec.task, run_source(run, asked, TRAIN)
    if not run.config.get("val"):
        return train, _val_source(task, asked, train)
    known = {name: _source(run, name) for name in ("train", "val")}
    val = _overridden(run, "val", task, asked, VAL)
    shared = [name for name in (*PATHS, *CHOICE) if getattr(known["val"], name) == getattr(known["train"], name)]
    val = dataclasses.replace(val, **{name: getattr(train, name) for name in shared if asked.get(VAL.get(name, "")) is None})
    missing = _missing(val)
    if missing and any(map(asked.get, TRAIN.values())) and not any(map(asked.get, VAL.values())):
        logger.warning("no validation: %s is not there", val.path(missing))
        return train, None
    if missing:
        raise HRNetError(f"the validation data of {run.path} are not at {val.path(missing)}: give `{VAL[missing]}`")
    return train, val


def _overridden(run: Run, name: str, task: str, asked: Mapping[str, Any], options: Mapping[str, str]) -> DataSource:
    """A source that the run knows, with what is given in place."""
    training_task(task)  # refuses a task that cannot be trained before it asks for data
    _check_own(task, asked, options, (*TASKS[task].needs, *TASKS[task].takes))
    given = {field: asked[option] for field, option in options.items() if asked.get(option) not in ABSENT}
    return dataclasses.replace(_source(run, name), **given)


def _source(run: Run, name: str) -> DataSource:
    return dataclasses.replace(DataSource.from_json(run.config.get(name) or {}), expected=run.category["name"])


def _missing(source: DataSource) -> str | None:
    """The first part of a source that is not there."""
    given = {name: getattr(source, name) for name in PATHS}
    return next((name for name, path in given.items() if path is not None and not path.exists()), None)


def _check_own(task: str, asked: Mapping[str, Any], options: Mapping[str, str], own: tuple[str, ...]) -> None:
    for name, option in options.items():
        if asked.get(option) not in ABSENT and name not in own:
            raise HRNetError(f"`{option}` is not for {task}")


def _listed(options: Any) -> str:
    return " and ".join(f"`{option}`" for option in options)
