"""What an evaluation is asked for, and what a task makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import PATHS, DataSource, TaskDataset, log_skipped
from mobile_eval.datasets.flip_pairs import AUTO
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Geometry
from mobile_eval.metrics.nme import FAILURE_THRESHOLD
from mobile_eval.runtime.tflite_model import TFLiteModel

Data = TypeVar("Data", bound=TaskDataset)


@dataclass(frozen=True)
class Asked:
    """The data and options of an evaluation, as on the command line; those that are not given have their default.

    A task takes some of them and refuses the others.
    """

    images: Path | None = None
    annotations: Path | None = None
    masks: Path | None = None
    classes: Path | None = None
    category: str | None = None
    strict: bool = False
    exif: str | None = None
    boxes: Path | None = None
    limit: int | None = None
    flip: bool = False
    flip_pairs: str = AUTO
    windows: bool = False
    scales: str | None = None
    overlap: float = 0.0
    overlays: Path | None = None
    picture: Path | None = None
    decoding: str = "model"
    sigmas: str | None = None
    head_joints: str | None = None
    least_score: float = 0.0
    unit: str | None = None
    failure_above: float = FAILURE_THRESHOLD
    predictions: Path | None = None
    resume: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Asked:
        """What a command was given, by name; its other options are passed over."""
        return cls(**{field.name: options[field.name] for field in dataclasses.fields(cls)})

    def given(self) -> tuple[str, ...]:
        """The names of what is not as by default."""
        return tuple(field.name for field in dataclasses.fields(self) if getattr(self, field.name) != field.default)

    @property
    def source(self) -> DataSource:
        """Where the data set lies."""
        return DataSource(self.images, self.annotations, self.masks, self.classes, self.category, self.strict, exif=self.exif)

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain data of those of these names: "options", and "data" the files and folders that were given."""
        values = {name: getattr(self, name) for name in names}
        paths = {field.name for field in dataclasses.fields(self) if "Path" in str(field.type)}
        return {
            "options": {name: value for name, value in values.items() if name not in paths},
            "data": {name: str(value) for name, value in values.items() if name in paths and value},
        }


class TaskResult(Protocol):
    """What an evaluation found: text for people, plain data for JSON."""

    def to_json(self) -> dict[str, Any]: ...
    def __str__(self) -> str: ...


class Evaluator(Protocol):
    """Measures a model on the data that were asked for."""

    def __call__(self, model: TFLiteModel, asked: Asked, *, progress: bool) -> TaskResult: ...


@dataclass(frozen=True)
class Task:
    """A task's evaluation: the fields of Asked that it `needs`, those that it `takes` besides, and what it does with them.

    `load` reads a data set. `inputs` makes of items of one what a network of an input size (height, width) is given of them:
    RGB images (N, height, width, 3); the third argument is the geometry in which boxes are cropped. Training and calibration
    use both too. `compared` is the module that lays models
    of the task side by side, by its `COMPARING`.
    """

    needs: tuple[str, ...]
    takes: tuple[str, ...]
    evaluate: Evaluator
    load: Callable[[DataSource], TaskDataset]
    inputs: Callable[[Sequence[Any], tuple[int, int], Geometry], NDArray[np.uint8]]
    compared: str

    def check(self, model: TFLiteModel, asked: Asked) -> None:
        """Refuse what was asked for where something that is needed is missing, or something is for another task."""
        given = asked.given()
        what = f"{model.path.name} is a {model.description.task} model"
        if not set(self.needs) <= set(given):
            raise HRNetError(f"{what}: evaluating it needs {_listed(self.needs, ' and ')}")
        foreign = [name for name in given if name not in self.needs + self.takes]
        if foreign:
            raise HRNetError(f"{what}: {_listed(foreign)} is not for it; it takes {_listed(self.needs + self.takes)}")


def read_asked(load: Callable[[DataSource], Data], model: TFLiteModel, asked: Asked) -> Data:
    """The data that are asked for, as many items as are, for `model`; what is left out of the files is said on stderr."""
    data = load(dataclasses.replace(asked.source, expected=model.description.category.name))
    log_skipped(asked.source, data)
    return data.head(asked.limit)


def given_by(task: Task) -> str:
    """The options that a data set of the task is given by, as they are typed."""
    return _listed(tuple(name for name in PATHS if name in task.needs), " and ")


def load_given(name: str, task: Task, source: DataSource) -> TaskDataset | None:
    """The data set of the task `name` at `source`; None where nothing is given.

    Raises HRNetError where something lacks or is foreign.
    """
    given = source.to_json()
    foreign = [one for one in given if one not in task.needs + task.takes]
    if foreign:
        raise HRNetError(f"{_listed(foreign)} is not for {name}; its data are given by {given_by(task)}")
    if given and any(getattr(source, name) is None for name in PATHS if name in task.needs):
        raise HRNetError(f"data of {name} are given by {given_by(task)}")
    data = task.load(source) if given else None
    log_skipped(source, data)
    return data


def _listed(names: Sequence[str], between: str = ", ") -> str:
    return between.join(f"`{name}`" for name in names)
