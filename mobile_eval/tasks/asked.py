"""What an evaluation is asked for, and what a task makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mobile_eval.metrics.nme import FAILURE_THRESHOLD
from mobile_eval.runtime import TfliteModel


@dataclass(frozen=True)
class Asked:
    """The data and options of an evaluation, as on the command line; those that are not given have their default.

    A task takes some of them and refuses the others.
    """

    images: Path | None = None
    annotations: Path | None = None
    masks: Path | None = None
    boxes: Path | None = None
    limit: int | None = None
    flip: bool = False
    decoding: str = "quarter"
    sigmas: str | None = None
    head_joints: str | None = None
    least_score: float = 0.0
    unit: str | None = None
    failure_above: float = FAILURE_THRESHOLD
    predictions: Path | None = None
    resume: bool = False

    def given(self) -> tuple[str, ...]:
        """The names of what is not as by default."""
        return tuple(field.name for field in dataclasses.fields(self) if getattr(self, field.name) != field.default)

    def path(self, name: str) -> Path:
        """The file or folder of that name; ValueError where it is not given."""
        value = getattr(self, name)
        if not isinstance(value, Path):
            raise ValueError(f"give --{name}")
        return value

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

    def __call__(self, model: TfliteModel, asked: Asked, *, progress: bool) -> TaskResult: ...


@dataclass(frozen=True)
class Task:
    """A task's evaluation: the fields of Asked that it `needs`, those that it `takes` besides, and what it does with them."""

    needs: tuple[str, ...]
    takes: tuple[str, ...]
    evaluate: Evaluator

    def check(self, model: TfliteModel, asked: Asked) -> None:
        """Refuse what was asked for where something that is needed is missing, or something is for another task."""
        given = asked.given()
        what = f"{model.path.name} is a {model.description.task} model"
        if not set(self.needs) <= set(given):
            raise ValueError(f"{what}: evaluating it needs {_listed(self.needs, ' and ')}")
        foreign = [name for name in given if name not in self.needs + self.takes]
        if foreign:
            raise ValueError(f"{what}: {_listed(foreign)} is not for it; it takes {_listed(self.needs + self.takes)}")


def _listed(names: Sequence[str], between: str = ", ") -> str:
    return between.join(f"--{name.replace('_', '-')}" for name in names)
