"""Object detection: AP and AR of boxes, as COCO computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobile_eval.datasets.base import DataSource
from mobile_eval.metrics.metric import Metric
from mobile_eval.tasks.base import Task
from mobile_eval.tasks.detection.options import DetectionEvalOptions
from mobile_eval.tasks.segmentation.task import inputs

if TYPE_CHECKING:
    from mobile_eval.datasets.coco.detection import DetectionDataset
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.detection.evaluate import DetectionResult
    from mobile_eval.tasks.report import TaskReport

METRIC = Metric("AP50", "ap50")
NEEDS, TAKES = ("annotations", "images"), ("strict", "exif")  # fields of the data source


def load(source: DataSource) -> DetectionDataset:
    """The images of an annotation file with their boxes."""
    from mobile_eval.datasets.coco.detection import load_detection_dataset

    return load_detection_dataset(source.path("annotations"), source.path("images"), strict=source.strict, exif=source.exif)


def evaluate(model: TFLiteModel, dataset: DetectionDataset, options: DetectionEvalOptions, *, progress: bool) -> DetectionResult:
    """Evaluate a detector on full images."""
    from mobile_eval.tasks.detection.evaluate import evaluate_detection

    return evaluate_detection(model, dataset, options, progress=progress)


def report() -> TaskReport[DetectionDataset, DetectionResult]:
    """How results are reported."""
    from mobile_eval.tasks.detection.report import REPORT

    return REPORT


TASK = Task("detection", METRIC, DetectionEvalOptions, load, inputs, evaluate, report, NEEDS, TAKES)
