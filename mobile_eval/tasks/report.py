"""How the results of a task are reported: figures for tables and intervals, and pictures of examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mobile_eval.viz.cutout import Cutout

Array = NDArray[np.float64]
Data = TypeVar("Data")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class ModelMeasurement:
    """Figures of a model's result on a data set.

    Attributes:
        score: The task's metric.
        secondary_score: Another metric; None if it is not known.
        per_class: Scores of joints, landmarks or classes by name; None where a class has none.
        correctness: How correct each item is, in K respects (items, K). A report shows the items where two models differ most.
        sums: Sums (images, F) that `TaskReport.score_of_sums` makes scores of, for paired intervals; None if the metric is not
            a function of sums over images.
    """

    score: float
    secondary_score: float | None
    per_class: dict[str, float | None]
    correctness: Array
    sums: Array | None = None


@dataclass(frozen=True)
class Panel:
    """An annotation or a prediction drawn over the photograph (SVG elements), with a caption and a note below it."""

    caption: str
    note: str
    overlay: str = ""


@dataclass(frozen=True)
class Example:
    """An item of the data set: a part of its photograph, and panels that show it."""

    index: int
    file_name: str
    cutout: Cutout
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class LabeledResult(Generic[Result]):
    """A model's result, and the label that the report names the model by."""

    label: str
    result: Result
    measurement: ModelMeasurement


def no_legend(dataset: object) -> Markup:
    """The legend of pictures that need none."""
    return Markup("")


@dataclass(frozen=True)
class TaskReport(Generic[Data, Result]):
    """How results of a task are reported.

    Attributes:
        secondary_metric: Name of the secondary score, such as "AP".
        items: What the items of a data set are called, in the plural: "people".
        class_noun: What the labels are called, in the singular: "joint".
        about: What the figures mean, in a sentence or two.
        measure: Figures of a result on the data set that it was evaluated on.
        example: Item number `index` with its annotation and the models' predictions.
        score_of_sums: Scores (...) of sums (..., F); see `ModelMeasurement.sums`.
        legend: HTML that explains the colors of the pictures.
    """

    secondary_metric: str
    items: str
    class_noun: str
    about: str
    measure: Callable[[Result, Data], ModelMeasurement]
    example: Callable[[Data, int, Sequence[LabeledResult[Result]]], Example]
    score_of_sums: Callable[[Array], Array] | None = None
    legend: Callable[[Data], Markup] = no_legend


def sums_by_group(values: Array, groups: Sequence[object]) -> Array:
    """Sums (groups, F) of the rows (N, F) of each group, in the order in which groups first occur."""
    names = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, [names[name] for name in groups], values)
    return sums


def ratio(sums: Array) -> Array:
    """The quotient (...) of sums (..., 2): a count of hits over a count of all, or a sum of errors over their number."""
    return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1e-12))
