"""Classification models side by side: top-1, top-5, and what each says of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mobile_eval.datasets.base import TaskDataset
from mobile_eval.datasets.classification import ClassificationDataset
from mobile_eval.image.preprocess import read_item
from mobile_eval.metrics.metric import none_if_nan
from mobile_eval.model.description import default_class_names
from mobile_eval.progress import tracked
from mobile_eval.report.task_report import Comparing, Example, Measured, Panel, ratio
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked
from mobile_eval.tasks.classification.evaluate import METRIC, TASK, likeliest, measure_classification, rank
from mobile_eval.viz.poses import cut_out

ABOUT = (
    "top-1 is the share of images whose class is the likeliest, mean recall the mean over classes of the share of their images "
    "that are right. Both in percent."
)


def measure_images(model: TFLiteModel, data: ClassificationDataset, asked: Asked, progress: bool) -> Measured:
    """Top-1 and mean recall of a model on all images."""
    classes = model.description.classes
    data = data.with_classes(classes, by_name=classes != default_class_names(len(classes)))
    shown = tracked(data.images, model.path.name, total=len(data), show=progress)
    answers = [model.predict(TASK.inputs([one], model.input_size, model.description.input.geometry))[0] for one in shown]
    labels = [one.label for one in data.images]
    result = measure_classification(model.path.name, data.classes, zip(answers, labels, strict=True))
    right = np.array([[rank(logits, label) == 0] for logits, label in zip(answers, labels, strict=True)], np.float64)
    return Measured(
        result=result,
        score=result.top1,
        second=none_if_nan(result.mean_recall),
        sums=np.column_stack([right, np.ones(len(right))]),
        parts={name: none_if_nan(float(share)) for name, share in zip(data.classes, result.recall, strict=True)},
        right=right,
        answers=[_said(outputs, data.classes, probabilities=model.description.output.softmax) for outputs in answers],
    )


def _said(outputs: NDArray[np.float32], classes: Sequence[str], *, probabilities: bool) -> str:
    """The likeliest class and its probability."""
    label, share = likeliest(outputs, probabilities=probabilities)
    return f"{classes[label]}, {100 * share:.0f} %"


def image_example(data: ClassificationDataset, index: int, models: Sequence[tuple[str, Measured]]) -> Example:
    """An image's class, and those that models took it for."""
    one = data.images[index]
    image = read_item(one)
    cutout = cut_out(image, (0, 0, image.shape[1], image.shape[0]))
    panels = [Panel("ground truth", data.classes[one.label], Markup(""))]
    panels += [Panel(label, measured.answers[index], Markup("")) for label, measured in models]
    return Example(index, one.image_path.name, cutout, tuple(panels))


def _key(data: TaskDataset) -> Markup:
    return Markup("")


COMPARING = Comparing(METRIC, "mean recall", "images", "class", ABOUT, measure_images, ratio, image_example, _key)
