"""Classification: top-1 and top-5, the share found of every class, and what was taken for what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.classification import ClassificationDataset, ClassificationImage, load_classification_dataset
from mobile_eval.files import check_output_file, write_text
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.image.prefetch import ahead
from mobile_eval.image.preprocess import read_item, resized_centre
from mobile_eval.metrics.confusion import class_table, confusion, mean_over_classes, per_class_recall
from mobile_eval.metrics.metric import Metric, format_scores, none_if_nan
from mobile_eval.model.description import default_class_names
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked, Task, read_asked
from mobile_eval.tasks.detection.anchors import softmax
from mobile_eval.viz.confusion_matrix import confusion_svg
from mobile_eval.words import number_of

TOP = 5
METRIC = Metric("top-1", "top1")


@dataclass(frozen=True, eq=False)
class ClassificationResult:
    """Accuracy of a classification model: the share of images whose class is the likeliest (`top1`), or among the five likeliest
    (`top5`; None where there are no more than five). `counts` (classes, classes) says how many of each were taken for each.
    """

    model: str
    classes: tuple[str, ...]
    top1: float
    top5: float | None
    counts: NDArray[np.int64]

    @property
    def images(self) -> int:
        """How many there were."""
        return int(self.counts.sum())

    @property
    def recall(self) -> NDArray[np.float64]:
        """The share of each class's images that were taken for it."""
        return per_class_recall(self.counts)

    @property
    def mean_recall(self) -> float:
        """Its mean over classes, which rare classes count for as much as frequent ones in."""
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
    model: TFLiteModel, dataset: ClassificationDataset, *, progress: bool = False
) -> ClassificationResult:
    """Run `model` on the middle of every image of `dataset`, whose folders are the model's classes."""
    classes = model.description.classes
    dataset = dataset.with_classes(classes, by_name=classes != default_class_names(len(classes)))

    def read(one: ClassificationImage) -> tuple[NDArray[Any], int]:
        return model.to_input(resized_centre(read_item(one), model.input_size)[None]), one.label

    answers = ((model.output(stored)[0], label) for stored, label in ahead(read, dataset.images))
    shown = tracked(answers, model.path.name, total=len(dataset), show=progress)
    return measure_classification(model.path.name, dataset.classes, shown)


def measure_classification(
    name: str, classes: tuple[str, ...], answers: Iterable[tuple[NDArray[np.float32], int]]
) -> ClassificationResult:
    """Accuracy of `answers`, an image's logits (classes,) and the index of its class each."""
    found = np.array([(label, logits.argmax(), rank(logits, label)) for logits, label in answers], np.int64).reshape(-1, 3)
    labels, predicted, ranks = found.T
    top5 = float((ranks < TOP).mean()) if len(classes) > TOP else None
    return ClassificationResult(name, classes, float((ranks < 1).mean()), top5, confusion(labels, predicted, len(classes)))


def likeliest(outputs: NDArray[np.float32], *, probabilities: bool) -> tuple[int, float]:
    """The class of the largest output (classes,), and its probability: the output itself, or logits' softmax."""
    best = int(outputs.argmax())
    return best, float(outputs[best]) if probabilities else float(softmax(outputs)[best])


def rank(logits: NDArray[np.float32], label: int) -> int:
    """How many classes are likelier than `label`; of equal logits, which int8 models often give, the first is the likelier."""
    return int((logits > logits[label]).sum() + (logits[:label] == logits[label]).sum())


def _load(source: DataSource) -> ClassificationDataset:
    return load_classification_dataset(source.path("images"))


def _inputs(images: Sequence[ClassificationImage], size: tuple[int, int], geometry: Geometry = STANDARD) -> NDArray[np.uint8]:
    return np.stack([resized_centre(read_item(one), size) for one in images])


def _evaluate(model: TFLiteModel, asked: Asked, *, progress: bool) -> ClassificationResult:
    check_output_file(asked.picture)
    dataset = read_asked(_load, model, asked)
    result = evaluate_classification(model, dataset, progress=progress)
    if asked.picture:
        write_text(asked.picture, confusion_svg(result.counts, result.classes, result.model, "images"))
    return result


TASK = Task(
    needs=("images",),
    takes=("limit", "picture"),
    evaluate=_evaluate,
    load=_load,
    inputs=_inputs,
    compared="mobile_eval.tasks.classification.report",
)
