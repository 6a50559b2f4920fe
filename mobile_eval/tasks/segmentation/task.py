"""Semantic segmentation: IoU of every class, mIoU, pixel accuracy and mean accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobile_eval.datasets.base import DataSource
from mobile_eval.metrics.metric import Metric
from mobile_eval.tasks.base import Task
from mobile_eval.tasks.segmentation.options import SegmentationEvalOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mobile_eval.datasets.segmentation import SegmentationDataset
    from mobile_eval.image.geometry import Geometry
    from mobile_eval.image.image_file import ImageItem
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.report import TaskReport
    from mobile_eval.tasks.segmentation.evaluate import SegmentationResult

METRIC = Metric("mIoU", "miou")
NEEDS, TAKES = ("images", "masks"), ("classes", "exif")  # fields of the data source


def load(source: DataSource) -> SegmentationDataset:
    """The images of a folder with their masks."""
    from mobile_eval.datasets.segmentation import load_segmentation_dataset

    return load_segmentation_dataset(source.path("images"), source.path("masks"), source.classes, exif=source.exif)


def inputs(images: Sequence[ImageItem], size: tuple[int, int], geometry: Geometry) -> NDArray[np.uint8]:
    """Full images (N, height, width, 3), resized without regard to their aspect ratio."""
    import numpy as np

    from mobile_eval.image.image_file import read_item
    from mobile_eval.image.preprocess import resize

    return np.stack([resize(read_item(image), size) for image in images])


def evaluate(
    model: TFLiteModel, dataset: SegmentationDataset, options: SegmentationEvalOptions, *, progress: bool
) -> SegmentationResult:
    """Evaluate a segmentation model at the size of the masks."""
    from mobile_eval.tasks.segmentation.evaluate import evaluate_segmentation

    return evaluate_segmentation(model, dataset, options, progress=progress)


def report() -> TaskReport[SegmentationDataset, SegmentationResult]:
    """How results are reported."""
    from mobile_eval.tasks.segmentation.report import REPORT

    return REPORT


TASK = Task("segmentation", METRIC, SegmentationEvalOptions, load, inputs, evaluate, report, NEEDS, TAKES)
