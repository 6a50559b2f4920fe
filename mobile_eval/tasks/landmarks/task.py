"""Facial landmark detection: NME, failure rate and AUC, in annotated boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobile_eval.datasets.base import DataSource
from mobile_eval.metrics.metric import Metric
from mobile_eval.tasks.base import Task
from mobile_eval.tasks.landmarks.options import LandmarkEvalOptions
from mobile_eval.tasks.pose.task import finish, inputs

if TYPE_CHECKING:
    from mobile_eval.datasets.coco.keypoints import KeypointDataset
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.landmarks.evaluate import LandmarkResult
    from mobile_eval.tasks.report import TaskReport

METRIC = Metric("NME", "nme", higher_is_better=False)
NEEDS, TAKES = ("annotations", "images"), ("category", "strict", "exif")  # fields of the data source


def load(source: DataSource) -> KeypointDataset:
    """The faces of an annotation file."""
    from mobile_eval.tasks.landmarks.evaluate import load_faces

    return load_faces(source)


def evaluate(model: TFLiteModel, dataset: KeypointDataset, options: LandmarkEvalOptions, *, progress: bool) -> LandmarkResult:
    """Evaluate a landmark model in the annotated boxes."""
    from mobile_eval.tasks.landmarks.evaluate import evaluate_landmarks

    return evaluate_landmarks(model, dataset, options, progress=progress)


def report() -> TaskReport[KeypointDataset, LandmarkResult]:
    """How results are reported."""
    from mobile_eval.tasks.landmarks.report import REPORT

    return REPORT


TASK = Task("landmarks", METRIC, LandmarkEvalOptions, load, inputs, evaluate, report, NEEDS, TAKES, finish)
