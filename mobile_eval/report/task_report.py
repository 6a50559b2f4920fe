"""What laying models of a task side by side takes: one model's figures on a data set, and pictures of its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mobile_eval.metrics.metric import Metric
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked, TaskResult
from mobile_eval.viz.poses import Cutout

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """One model on a data set.

    `result` is what evaluating it found, `score` its metric, `second` another figure where the task has one. `sums` (images, F)
    add up to what the task's `figure` makes the score of; None where the metric is no function of sums. `parts` are scores of
    joints or classes, by name. `right` (items, K) says how right each item is, in K respects. `answers` are those of the items.
    """

    result: TaskResult
    score: float
    second: float | None
    sums: Array | None
    parts: dict[str, float | None]
    right: Array
    answers: Sequence[Any] | NDArray[Any]


@dataclass(frozen=True)
class Panel:
    """One answer over a photograph, and what is written under it."""

    caption: str
    note: str
    overlay: Markup


@dataclass(frozen=True)
class Example:
    """One item: the photograph once, and the panels that show it."""

    number: int
    file_name: str
    cutout: Cutout
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Comparing:
    """How models of a task are compared.

    `second` names the other figure that is shown; `items` are what the data set holds ("people"), `part` what its answers are
    of ("joint"); `about` says in a sentence or two what the figures are. `measure` runs a model on the data. `figure` makes
    scores (...) of sums (..., F). `example` shows an item's truth, and what the models of these labels answered. `key` explains
    the pictures' colours.
    """

    metric: Metric
    second: str
    items: str
    part: str
    about: str
    measure: Callable[[TFLiteModel, Any, Asked, bool], Measured]
    figure: Callable[[Array], Array]
    example: Callable[[Any, int, Sequence[tuple[str, Measured]]], Example]
    key: Callable[[Any], Markup]


def sums_of_groups(values: Array, groups: Sequence[object]) -> Array:
    """Sums (groups, F) of rows (N, F) that are of the same group, in the order that groups are met in."""
    names = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, [names[name] for name in groups], values)
    return sums


def ratio(sums: Array) -> Array:
    """The score of sums (..., 2) that are what was found and what there was."""
    return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1e-12))
