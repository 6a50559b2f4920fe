"""What an evaluation is asked for, and what a task makes of it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.flip_pairs import AUTO
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import unless_plain
from mobile_eval.keypoints.inference import OWN
from mobile_eval.metrics.nme import FAILURE_THRESHOLD
from mobile_eval.runtime.tflite_model import TFLiteModel

if TYPE_CHECKING:
    from typing_extensions import Self  # in `typing` from Python 3.11 on

logger = logging.getLogger(__name__)

PATHS = ("images", "annotations", "masks", "classes")
Data = TypeVar("Data", bound="TaskDataset")


@dataclass(frozen=True)
class DataSource:
    """Where a data set lies: a folder of `images`, and beside it what its task needs.

    `annotations` is a file, `masks` a folder, `classes` a file of the classes' names where nothing else says them. `category` is
    the name or id of the one to take of several with keypoints; `expected`, the name of a model's, is taken where the file does
    not say which either. `strict` refuses the annotations at the first bad label. `exif` is what annotations are of where EXIF
    turns an image, one of `datasets.frames`; None leaves that to the sizes in the file.
    """

    images: Path | None = None
    annotations: Path | None = None
    masks: Path | None = None
    classes: Path | None = None
    category: str | None = None
    strict: bool = False
    expected: str | None = field(default=None, compare=False)
    exif: str | None = None

    def read_as(self, config: Mapping[str, Any]) -> DataSource:
        """With the choice of a run's config how images are read that EXIF turns, where none is given here."""
        known = config.get("train", {}).get("exif")
        return dataclasses.replace(self, exif=known) if self.paths and self.exif is None and known else self

    def path(self, name: str) -> Path:
        """The file or folder of that name; HRNetError where it is not given."""
        value = getattr(self, name)
        if not isinstance(value, Path):
            raise HRNetError(f"give `{name}`")
        return value

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and folders that are given."""
        return tuple(value for name in PATHS if (value := getattr(self, name)) is not None)

    def absolute(self) -> DataSource:
        """The same, found from any working directory."""
        given = {name: getattr(self, name) for name in PATHS}
        return dataclasses.replace(self, **{name: path.absolute() for name, path in given.items() if path is not None})

    def to_json(self) -> dict[str, Any]:
        """Plain data of what is given."""
        paths = {name: str(value) for name in PATHS if (value := getattr(self, name)) is not None}
        choices = ("category", self.category), ("exif", self.exif)
        return {
            **paths,
            **{name: value for name, value in choices if value is not None},
            **({"strict": True} if self.strict else {}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> DataSource:
        """What `to_json` wrote."""
        values: dict[str, Any] = {name: Path(value) if name in PATHS else value for name, value in data.items()}
        return cls(**values)


class TaskDataset(Protocol):
    """A data set of any task.

    `names` are what a network answers with, one a channel: joints, landmarks or classes. `answers` says the same, and what else
    is known of them, as plain data: a COCO category of keypoints, or {"name": task, "classes": [names]}. `left_out` says what
    of the files is not among the items, and why; "" where all is. `head` takes the first items, `part` those of a slice.
    """

    @property
    def items(self) -> tuple[Any, ...]: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def answers(self) -> dict[str, Any]: ...
    @property
    def left_out(self) -> str: ...
    def __len__(self) -> int: ...
    def head(self, count: int | None) -> Self: ...
    def part(self, which: slice) -> Self: ...


def answer_names(answers: dict[str, Any]) -> tuple[str, ...]:
    """The names in what `TaskDataset.answers` says."""
    return tuple(map(str, answers.get("keypoints") or answers["classes"]))


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
    decoding: str = OWN
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
    RGB images (N, height, width, 3), of boxes in a geometry as third argument. Training and calibration take both from here
    too. `compared` is the module that lays models
    of the task side by side, by its `COMPARING`.
    """

    needs: tuple[str, ...]
    takes: tuple[str, ...]
    evaluate: Evaluator
    load: Callable[[DataSource], TaskDataset]
    inputs: Callable[..., NDArray[np.uint8]]
    compared: str

    def inputs_in(self, geometry: str, items: Sequence[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
        """`inputs` for a network of that geometry, which of a task without boxes is PLAIN."""
        return self.inputs(items, size, *unless_plain(geometry))

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
    say_left_out(asked.source, data)
    return data.head(asked.limit)


def say_left_out(source: DataSource | None, data: TaskDataset | None) -> None:
    """Log what is left out of the files of a data set, or taken otherwise than they say."""
    if source and data and data.left_out:
        logger.warning("%s: %s", source.annotations or source.images, data.left_out)


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
    say_left_out(source, data)
    return data


def _listed(names: Sequence[str], between: str = ", ") -> str:
    return between.join(f"`{name}`" for name in names)
