"""Class weights by how often the classes occur, so that a network learns the rare ones too."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from training.tasks.base import AnyTrainingTask
from training.tasks.settings import ClassWeightSettings, TaskSettings

DIGITS = 4  # of a weight, as the run keeps it

Counts = NDArray[np.int64]


def with_balanced_classes(task: AnyTrainingTask, settings: TaskSettings, data: TaskDataset) -> TaskSettings:
    """Replace `balance_classes` by the class weights that balance a training set.

    Args:
        task: The task.
        settings: Its settings.
        data: The training set.

    Returns:
        The settings with `class_weights`; unchanged where the classes are not to be balanced.

    Raises:
        HRNetError: The given `class_weights` are not as many as the classes of the data.
    """
    if not isinstance(settings, ClassWeightSettings):
        return settings
    if settings.balance_classes and task.class_weights:
        weights = tuple(round(float(weight), DIGITS) for weight in task.class_weights(data))
        return dataclasses.replace(settings, balance_classes=False, class_weights=weights)
    if settings.class_weights and len(settings.class_weights) != len(data.names):
        raise HRNetError(
            f"`class_weights` has {len(settings.class_weights)} numbers, but the data have {len(data.names)} classes"
        )
    return settings


def class_weights_line(weights: Sequence[float], names: Sequence[str], max_classes: int = 12) -> str:
    """Return the weights of the first classes as one line of text."""
    listed = [f"{name} {weight:g}" for name, weight in zip(names, weights, strict=True)]
    return f"class weights: {', '.join(listed[:max_classes])}{', ...' if len(listed) > max_classes else ''}"


def weights_by_count(counts: Counts) -> NDArray[np.float64]:
    """Weigh classes by the inverse of their number of examples (scikit-learn's "balanced").

    Args:
        counts: Number of examples of each class (classes,).

    Returns:
        Weights (classes,): N / (K count) for N examples of K classes that occur, so that their mean over the examples is 1.
        The weight of a class without examples is 1.
    """
    occurs = counts > 0
    return np.where(occurs, counts.sum() / (occurs.sum() * np.maximum(counts, 1)), 1.0)


def weights_by_median_frequency(counts: Iterable[Counts], classes: int) -> NDArray[np.float64]:
    """Weigh classes by median frequency balancing (Eigen and Fergus, arXiv 1411.4734).

    The frequency of a class is its fraction of the pixels of those images that contain it.

    Args:
        counts: Number of pixels of each class (classes,), for each image.
        classes: Number of classes.

    Returns:
        Weights (classes,): the median of the frequencies over the class's frequency; 1 for a class without pixels.
    """
    class_pixels, image_pixels = np.zeros(classes), np.zeros(classes)
    for image_counts in counts:
        class_pixels += image_counts
        image_pixels += np.where(image_counts > 0, image_counts.sum(), 0)
    weights, occurs = np.ones(classes), class_pixels > 0
    if occurs.any():
        frequency = class_pixels[occurs] / image_pixels[occurs]
        weights[occurs] = np.median(frequency) / frequency
    return weights
