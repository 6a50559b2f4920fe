"""What was taken for what: confusion matrices, and the figures of segmentation and classification that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.metrics.metric import format_score

IGNORED = 255  # in masks, the label of what counts for nothing, in Cityscapes' convention
LISTED_CLASSES = 40  # tables of more classes show those that do worst

Counts = NDArray[np.int64]


def confusion(truth: NDArray[Any], predicted: NDArray[Any], classes: int, ignored: int | None = None) -> Counts:
    """How often class t was taken for class p, as entry (t, p) of (classes, classes); what is `ignored` in `truth` is left out.

    Both hold class indices, in any equal shape. Add up the matrices of many images.
    """
    if ignored is not None:
        truth, predicted = truth[truth != ignored], predicted[truth != ignored]
    pairs = truth.ravel().astype(np.int64) * classes + predicted.ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def per_class_recall(counts: Counts) -> NDArray[np.float64]:
    """Of each class, the share that was taken for it (its recall); NaN of classes that do not occur."""
    return _ratio(np.diag(counts), counts.sum(axis=1))


def per_class_iou(counts: Counts) -> NDArray[np.float64]:
    """Of each class, found / (what is it + what was taken for it - found); NaN where it neither occurs nor is predicted."""
    return _ratio(np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts))


def accuracy(counts: Counts) -> float:
    """The share of everything that was taken for what it is; NaN of nothing."""
    return float(_ratio(np.trace(counts), counts.sum()))


def mean_over_classes(values: NDArray[np.float64]) -> float:
    """The mean over classes that have a value, as Cityscapes' own evaluation takes it; NaN where none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def class_table(classes: Sequence[str], values: NDArray[np.float64]) -> list[str]:
    """A line for each class; of very many, for those with the lowest values, which are listed from the lowest on."""
    rows = list(zip(classes, values, strict=True))
    if len(rows) > LISTED_CLASSES:
        rows = sorted((row for row in rows if not np.isnan(row[1])), key=lambda row: row[1])[: LISTED_CLASSES // 2]
        return [f"the lowest {len(rows)} of {len(classes)} classes:", *(_row(*row) for row in rows)]
    return [_row(*row) for row in rows]


def _row(name: str, value: float) -> str:
    return f"  {name:<20} {format_score(float(value))}"


def _ratio(part: Any, whole: Any) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.true_divide(part, whole))
