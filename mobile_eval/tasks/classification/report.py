"""Report of classification models: top-1, mean recall, and the predicted class of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mobile_eval.datasets.classification import ClassificationDataset
from mobile_eval.image.image_file import read_item
from mobile_eval.metrics.metric import none_if_nan
from mobile_eval.tasks.classification.evaluate import ClassificationResult
from mobile_eval.tasks.report import Example, LabeledResult, ModelMeasurement, Panel, TaskReport, ratio
from mobile_eval.viz.cutout import cut_out

ABOUT = (
    "top-1 is the share of images whose class is the likeliest, mean recall the mean over classes of the share of their images "
    "that are right. Both in percent."
)


def measure(result: ClassificationResult, dataset: ClassificationDataset) -> ModelMeasurement:
    """Top-1 and mean recall; an image is correct if its class is the most likely one."""
    correct = (result.ranks == 0).astype(np.float64)[:, None]
    return ModelMeasurement(
        score=result.top1,
        secondary_score=none_if_nan(result.mean_recall),
        per_class={name: none_if_nan(float(share)) for name, share in zip(result.classes, result.recall, strict=True)},
        correctness=correct,
        sums=np.column_stack([correct, np.ones(len(correct))]),
    )


def example(dataset: ClassificationDataset, index: int, models: Sequence[LabeledResult[ClassificationResult]]) -> Example:
    """An image with its class and the predicted ones."""
    item = dataset.images[index]
    image = read_item(item)
    cutout = cut_out(image, (0, 0, image.shape[1], image.shape[0]))
    panels = [Panel("ground truth", dataset.classes[item.label])]
    for model in models:
        result = model.result
        note = f"{result.classes[result.predictions[index]]}, {100 * result.probabilities[index]:.0f} %"
        panels.append(Panel(model.label, note))
    return Example(index, item.image_path.name, cutout, tuple(panels))


REPORT = TaskReport(
    secondary_metric="mean recall",
    items="images",
    class_noun="class",
    about=ABOUT,
    measure=measure,
    example=example,
    score_of_sums=ratio,
)
