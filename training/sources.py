"""Where training and validation data lie, from what was typed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hrnet_tf.runs import Run
from mobile_eval.tasks.asked import Source
from mobile_eval.tasks.registry import TASKS
from training.tasks.registry import training_task

# The options of a source: of training data, of validation data, and of data to rank on.
CHOICE = {"category": "category", "strict": "strict", "exif": "exif"}
TRAIN = {"images": "images", "annotations": "train_annotations", "masks": "masks", "classes": "classes", **CHOICE}
VAL = {"images": "val_images", "annotations": "val_annotations", "masks": "val_masks"}
RANK = {"images": "images", "annotations": "annotations", "masks": "masks", "classes": "classes", **CHOICE}
ABSENT = (None, False)


def asked_source(task: str, asked: Mapping[str, Any], options: Mapping[str, str] = RANK, run: Run | None = None) -> Source:
    """The data that these options name; ValueError for what the task needs and is not given, and for what is another task's.

    Of several categories that of `run` is taken where none is asked for.
    """
    needs, takes = TASKS[task].needs, TASKS[task].takes
    training_task(task)  # refuses a task that cannot be trained before it asks for data
    for name, option in options.items():
        if name in needs and asked[option] is None:
            raise ValueError(f"{task} needs {_listed(options[need] for need in needs)}: --{_typed(option)} is missing")
    _check_own(task, asked, options, (*needs, *takes))
    expected = run.category.get("name") if run else None
    return Source(**{name: asked[option] for name, option in options.items()}, expected=expected)


def asked_sources(task: str, asked: Mapping[str, Any], run: Run | None = None) -> tuple[Source, Source | None]:
    """Training data, and validation data: None where nothing of them is given; what is not given of them is the training's.

    Raises ValueError as `asked_source` does, and where the images to validate on are without what goes with them.
    """
    train, needs = asked_source(task, asked, TRAIN, run), TASKS[task].needs
    _check_own(task, asked, VAL, (*needs, *TASKS[task].takes))
    others = {name: asked[option] for name, option in VAL.items() if asked[option] is not None}
    beside = [name for name in needs if name != "images"]
    if others and beside and not any(name in others for name in beside):
        raise ValueError(f"--val-images goes with {_listed(VAL[name] for name in beside)}")
    return train, dataclasses.replace(train, **others) if others else None


def _check_own(task: str, asked: Mapping[str, Any], options: Mapping[str, str], own: tuple[str, ...]) -> None:
    for name, option in options.items():
        if asked[option] not in ABSENT and name not in own:
            raise ValueError(f"--{_typed(option)} is not for {task}")


def _listed(options: Any) -> str:
    return " and ".join(f"--{_typed(option)}" for option in options)


def _typed(option: str) -> str:
    return option.replace("_", "-")
