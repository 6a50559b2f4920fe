"""Accuracy of classification models: top-1, top-5, recall of every class, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.classification import ClassificationDataset, ClassificationImage
from mobile_eval.files import check_output_file, write_text
from mobile_eval.image.image_file import read_item
from mobile_eval.image.prefetch import prefetch
from mobile_eval.image.preprocess import resized_center
from mobile_eval.messages import number_of
from mobile_eval.metrics.confusion import class_table, confusion, mean_over_classes, per_class_recall
from mobile_eval.metrics.metric import format_scores, none_if_nan
from mobile_eval.model.description import default_class_names
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import TaskResult
from mobile_eval.tasks.classification.options import ClassificationEvalOptions
from mobile_eval.tasks.detection.anchors import softmax
from mobile_eval.viz.confusion_matrix import confusion_svg

TOP = 5


@dataclass(frozen=True, eq=False)
class ClassificationResult(TaskResult):
    """Accuracy of a classification model.

    Attributes:
        model: File name of the model.
        classes: Names of the C classes.
        labels: True class (N,) of each image.
        predictions: Most likely class (N,) of each image.
        probabilities: Its probability (N,).
        ranks: Number of classes (N,) that are more likely than the true one.
    """

    model: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    ranks: NDArray[np.int64]

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def top1(self) -> float:
        """Share of images whose class is the most likely one."""
        return float((self.ranks < 1).mean())

    @property
    def top5(self) -> float | None:
        """Share of images whose class is among the five most likely ones; None if there are no more than five classes."""
        return float((self.ranks < TOP).mean()) if len(self.classes) > TOP else None

    @property
    def counts(self) -> NDArray[np.int64]:
        """Confusion matrix (C, C): entry (t, p) counts the images of class t that were predicted as p."""
        return confusion(self.labels, self.predictions, len(self.classes))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share (C,) of each class's images that were predicted as it; NaN of classes without images."""
        return per_class_recall(self.counts)

    @property
    def mean_recall(self) -> float:
        """Mean recall over classes: rare classes count as much as frequent ones."""
        return mean_over_classes(self.recall)

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN becomes null."""
        return {
            "model": self.model,
            "images": self.images,
            "top1": self.top1,
            "top5": self.top5,
            "mean_recall": none_if_nan(self.mean_recall),
            "recall": {name: none_if_nan(float(value)) for name, value in zip(self.classes, self.recall, strict=True)},
            "confusion": self.counts.tolist(),
        }

    def __str__(self) -> str:
        shares = format_scores({"top-1": self.top1, "top-5": self.top5, "mean recall": self.mean_recall})
        return "\n".join([f"{self.model}: {number_of(self.images, 'images')}", shares, *class_table(self.classes, self.recall)])


def evaluate_classification(
    model: TFLiteModel,
    dataset: ClassificationDataset,
    options: ClassificationEvalOptions | None = None,
    *,
    progress: bool = False,
) -> ClassificationResult:
    """Run a model on the central crop of every image of a data set.

    Args:
        model: A model whose classes are the folders of the data set.
        dataset: Images in a folder for each class.
        options: Files to write.
        progress: Show a progress bar.
    """
    options, classes = options or ClassificationEvalOptions(), model.description.classes
    check_output_file(options.picture)
    dataset = dataset.with_classes(classes, by_name=classes != default_class_names(len(classes)))

    def read(item: ClassificationImage) -> tuple[NDArray[Any], int]:
        return model.to_input(resized_center(read_item(item), model.input_size)[None]), item.label

    outputs = ((model.output(stored)[0], label) for stored, label in prefetch(read, dataset.images))
    tracked_outputs = tracked(outputs, model.path.name, total=len(dataset), show=progress)
    softmaxed = model.description.output.softmax
    result = measure_classification(model.path.name, dataset.classes, tracked_outputs, softmaxed=softmaxed)
    if options.picture:
        write_text(options.picture, confusion_svg(result.counts, result.classes, result.model, "images"))
    return result


def measure_classification(
    name: str, classes: tuple[str, ...], outputs: Iterable[tuple[NDArray[np.float32], int]], *, softmaxed: bool = False
) -> ClassificationResult:
    """Accuracy of predictions.

    Args:
        name: Name of the model.
        classes: Names of the C classes.
        outputs: For each image its outputs (C,) and the index of its class.
        softmaxed: Whether outputs are probabilities rather than logits.
    """
    rows = [(label, *likeliest(scores, probabilities=softmaxed), rank(scores, label)) for scores, label in outputs]
    labels, predictions, probabilities, ranks = np.array(rows, np.float64).reshape(-1, 4).T
    integers = (column.astype(np.int64) for column in (labels, predictions, ranks))
    labels, predictions, ranks = integers
    return ClassificationResult(name, classes, labels, predictions, probabilities, ranks)


def likeliest(outputs: NDArray[np.float32], *, probabilities: bool) -> tuple[int, float]:
    """The most likely class of outputs (C,), and its probability. Outputs are `probabilities`, or else logits."""
    best = int(outputs.argmax())
    return best, float(outputs[best]) if probabilities else float(softmax(outputs)[best])


def rank(outputs: NDArray[np.float32], label: int) -> int:
    """Number of classes that are more likely than `label`. Of equal outputs, frequent in int8, the first class is more likely."""
    return int((outputs > outputs[label]).sum() + (outputs[:label] == outputs[label]).sum())
