"""Image classification: top-1, top-5, recall of every class, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobile_eval.datasets.base import DataSource
from mobile_eval.metrics.metric import Metric
from mobile_eval.tasks.base import Task
from mobile_eval.tasks.classification.options import ClassificationEvalOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mobile_eval.datasets.classification import ClassificationDataset, ClassificationImage
    from mobile_eval.image.geometry import Geometry
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.classification.evaluate import ClassificationResult
    from mobile_eval.tasks.report import TaskReport

METRIC = Metric("top-1", "top1")
NEEDS, TAKES = ("images",), ()  # fields of the data source


def load(source: DataSource) -> ClassificationDataset:
    """The images of a folder with a folder for each class."""
    from mobile_eval.datasets.classification import load_classification_dataset

    return load_classification_dataset(source.path("images"))


def inputs(images: Sequence[ClassificationImage], size: tuple[int, int], geometry: Geometry) -> NDArray[np.uint8]:
    """Central crops (N, height, width, 3) of images."""
    import numpy as np

    from mobile_eval.image.image_file import read_item
    from mobile_eval.image.preprocess import resized_center

    return np.stack([resized_center(read_item(image), size) for image in images])


def evaluate(
    model: TFLiteModel, dataset: ClassificationDataset, options: ClassificationEvalOptions, *, progress: bool
) -> ClassificationResult:
    """Evaluate a classification model on the central crop of every image."""
    from mobile_eval.tasks.classification.evaluate import evaluate_classification

    return evaluate_classification(model, dataset, options, progress=progress)


def report() -> TaskReport[ClassificationDataset, ClassificationResult]:
    """How results are reported."""
    from mobile_eval.tasks.classification.report import REPORT

    return REPORT


TASK = Task("classification", METRIC, ClassificationEvalOptions, load, inputs, evaluate, report, NEEDS, TAKES)
