"""Pose estimation: AP and AR (OKS), PCK and PCKh, in annotated boxes or a detector's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobile_eval.datasets.base import DataSource
from mobile_eval.metrics.metric import PCK_THRESHOLD, Metric
from mobile_eval.tasks.base import Task
from mobile_eval.tasks.pose.options import KeypointEvalOptions, PoseEvalOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mobile_eval.datasets.coco.keypoints import KeypointDataset, KeypointInstance
    from mobile_eval.image.geometry import Geometry
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.pose.chain import ChainResult
    from mobile_eval.tasks.pose.detector_boxes import DetectorBoxesResult
    from mobile_eval.tasks.pose.evaluate import PoseResult
    from mobile_eval.tasks.report import TaskReport

METRIC = Metric(f"PCK@{PCK_THRESHOLD:g}", "pck")
NEEDS, TAKES = ("annotations", "images"), ("category", "strict", "exif")  # fields of the data source


def load(source: DataSource) -> KeypointDataset:
    """The people of an annotation file."""
    from mobile_eval.tasks.pose.predictions import load_keypoints

    return load_keypoints(source)


def inputs(instances: Sequence[KeypointInstance], size: tuple[int, int], geometry: Geometry) -> NDArray[np.uint8]:
    """Crops (N, height, width, 3) around the boxes of instances."""
    from mobile_eval.image.preprocess import instance_crops

    return instance_crops(instances, size, geometry)[0]


def evaluate(
    model: TFLiteModel, dataset: KeypointDataset, options: PoseEvalOptions, *, progress: bool
) -> PoseResult | DetectorBoxesResult | ChainResult:
    """Evaluate a pose model in the annotated boxes, or in those of a detector if the options name them."""
    if options.detector:
        from mobile_eval.tasks.pose.chain import evaluate_chain

        return evaluate_chain(model, dataset, options, progress=progress)
    if options.boxes:
        from mobile_eval.tasks.pose.detector_boxes import evaluate_in_detector_boxes

        return evaluate_in_detector_boxes(model, dataset, options, progress=progress)
    from mobile_eval.tasks.pose.evaluate import evaluate_pose

    return evaluate_pose(model, dataset, options, progress=progress)


def report() -> TaskReport[KeypointDataset, PoseResult | DetectorBoxesResult | ChainResult]:
    """How results are reported."""
    from mobile_eval.tasks.pose.report import REPORT

    return REPORT


def finish(options: KeypointEvalOptions) -> None:
    """Remove the log of predictions."""
    from mobile_eval.tasks.pose.prediction_log import remove_prediction_log

    if options.predictions:
        remove_prediction_log(options.predictions)


TASK = Task("pose", METRIC, PoseEvalOptions, load, inputs, evaluate, report, NEEDS, TAKES, finish)
