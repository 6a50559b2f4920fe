"""Confusion matrices, and the scores of segmentation and classification that follow from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mobile_eval.metrics.metric import format_score

IGNORED = 255  # label of mask pixels that do not count (Cityscapes' convention)
MAX_LISTED = 40  # tables of more classes show only the worst

Counts = NDArray[np.int64]


def confusion(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int, ignored: int | None = None) -> Counts:
    """Confusion matrix (classes, classes): entry (t, p) counts how often class t was predicted as class p.

    Sum the matrices of several images for the matrix of a dataset.

    Args:
        truth: Class indices, in any shape.
        predicted: Predicted class indices, in the same shape.
        classes: Number of classes.
        ignored: Label in `truth` that does not count.

    Example:
        >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
        [[1, 0], [1, 1]]
    """
    if ignored is not None:
        truth, predicted = truth[truth != ignored], predicted[truth != ignored]
    pairs = truth.ravel().astype(np.int64) * classes + predicted.ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def per_class_recall(counts: Counts) -> NDArray[np.float64]:
    """Recall of each class; NaN for a class that does not occur."""
    return _ratio(np.diag(counts), counts.sum(axis=1))


def per_class_iou(counts: Counts) -> NDArray[np.float64]:
    """Intersection over union of each class; NaN for a class that neither occurs nor is predicted."""
    return _ratio(np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts))


def accuracy(counts: Counts) -> float:
    """Share of correct predictions; NaN if there are none."""
    return float(_ratio(np.trace(counts), counts.sum()))


def mean_over_classes(values: NDArray[np.float64]) -> float:
    """Mean of the values that are not NaN, as in Cityscapes' evaluation; NaN if all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def class_table(classes: Sequence[str], values: NDArray[np.float64]) -> list[str]:
    """A line for each class with its value. Of many classes, only those with the lowest values, lowest first."""
    rows = list(zip(classes, values, strict=True))
    if len(rows) <= MAX_LISTED:
        return [_row(*row) for row in rows]
    lowest = sorted((row for row in rows if not np.isnan(row[1])), key=lambda row: row[1])[: MAX_LISTED // 2]
    return [f"the lowest {len(lowest)} of {len(classes)} classes:", *(_row(*row) for row in lowest)]


def _row(name: str, value: float) -> str:
    return f"  {name:<20} {format_score(float(value))}"


def _ratio(part: ArrayLike, total: ArrayLike) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.true_divide(part, total))
