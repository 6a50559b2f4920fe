"""Accuracy of landmark models in annotated boxes: NME, failure rate and AUC."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.flip_pairs import FACE_PAIRS
from mobile_eval.errors import HRNetError
from mobile_eval.keypoints.inference import DecodingOptions, checked_decoding
from mobile_eval.messages import number_of
from mobile_eval.metrics.distance import box_sizes, keypoint_distances, normalized_distances
from mobile_eval.metrics.metric import FAILURE_THRESHOLD
from mobile_eval.metrics.nme import NmeResult, nme
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import TaskResult
from mobile_eval.tasks.landmarks.options import LandmarkEvalOptions
from mobile_eval.tasks.pose.predictions import (
    KeypointResult,
    coco_results,
    load_keypoints,
    predict_dataset,
    write_predictions,
)

LandmarkGroups = tuple[tuple[int, ...], tuple[int, ...]]
INTER_OCULAR, INTER_PUPIL, BOX = UNITS = ("inter-ocular", "inter-pupil", "box")
# Landmarks of the two eyes by the number of landmarks of a face. The outer corners are those of the official code.
EYES: dict[int, dict[str, LandmarkGroups]] = {
    68: {INTER_OCULAR: ((36,), (45,)), INTER_PUPIL: (tuple(range(36, 42)), tuple(range(42, 48)))},  # 300W
    98: {INTER_OCULAR: ((60,), (72,)), INTER_PUPIL: ((96,), (97,))},  # WFLW
    29: {INTER_OCULAR: ((8,), (9,))},  # COFW
}


def load_faces(source: DataSource) -> KeypointDataset:
    """The faces of an annotation file. If the landmarks' names have no sides, flip pairs are those of the usual markup."""
    dataset = load_keypoints(source)
    if dataset.category.flip_pairs is not None:
        return dataset
    pairs = FACE_PAIRS.get(len(dataset.category.joints))
    return dataclasses.replace(dataset, category=dataclasses.replace(dataset.category, flip_pairs=pairs))


@dataclass(frozen=True, eq=False)
class LandmarkResult(TaskResult):
    """Accuracy of a landmark model.

    Attributes:
        model: File name of the model.
        faces: Number of faces.
        images: Number of images.
        landmarks: Names of the K landmarks.
        unit: What errors are divided by.
        nme: NME, failure rate and AUC.
        distances: Errors (N, K) in units of the face; NaN where a landmark is not labelled or the face has no unit.
        keypoints: Predictions (N, K, 3) in the order of the data set: x and y in image pixels, and score.
        results: The predictions as COCO results.
    """

    model: str
    faces: int
    images: int
    landmarks: tuple[str, ...]
    unit: str
    nme: NmeResult
    distances: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    results: list[KeypointResult]

    def to_json(self) -> dict[str, Any]:
        """Plain data without the predictions; NaN becomes null."""
        counts = {"model": self.model, "faces": self.faces, "images": self.images, "unit": self.unit}
        return {**counts, **self.nme.to_json(self.landmarks)}

    def __str__(self) -> str:
        skipped = self.faces - self.nme.faces_counted
        remark = f" ({skipped} without the landmarks that measure a face are left out)" if skipped else ""
        faces, images = number_of(self.faces, "faces"), number_of(self.images, "images")
        return f"{self.model}: {faces} in {images}, errors by {self.unit}\n{self.nme}{remark}"


def evaluate_landmarks(
    model: TFLiteModel, dataset: KeypointDataset, options: LandmarkEvalOptions | None = None, *, progress: bool = False
) -> LandmarkResult:
    """Run a model in every annotated box of a data set and measure its landmarks.

    Args:
        model: A model whose landmarks are the data set's.
        dataset: Annotated faces.
        options: Unit of errors, failure threshold, decoding, and files to write.
        progress: Show a progress bar.
    """
    options = options or LandmarkEvalOptions()
    face_units(dataset, options.unit)  # refuse a bad unit before the work is done
    inference = DecodingOptions(decoding=checked_decoding(options.decoding))
    keypoints = predict_dataset(model, dataset, options, inference, progress=progress)
    result = measure_landmarks(model.path.name, dataset, keypoints, options.unit, options.failure_above)
    write_predictions(dataset, result.results, options)
    return result


def measure_landmarks(
    name: str,
    dataset: KeypointDataset,
    keypoints: NDArray[np.float64],
    unit: str | None = None,
    failure_above: float = FAILURE_THRESHOLD,
) -> LandmarkResult:
    """Accuracy of predicted landmarks.

    Args:
        name: Name of the model.
        dataset: Annotated faces.
        keypoints: Predictions (N, K, 3) in the order of the data set.
        unit: What errors are divided by, as `face_units` takes it.
        failure_above: Error above which a face counts as failed, and at which the AUC ends.
    """
    unit_name, units = face_units(dataset, unit)
    truth = np.stack([face.keypoints for face in dataset.instances])
    distances = normalized_distances(keypoints, truth, units)
    return LandmarkResult(
        model=name,
        faces=len(dataset),
        images=len({face.image_id for face in dataset.instances}),
        landmarks=dataset.category.joints,
        unit=unit_name,
        nme=nme(distances, failure_above),
        distances=distances,
        keypoints=keypoints,
        results=coco_results(dataset, keypoints),
    )


def face_units(dataset: KeypointDataset, unit: str | None = None) -> tuple[str, NDArray[np.float64]]:
    """Size of each face, which errors are divided by.

    Args:
        dataset: Annotated faces.
        unit: One of UNITS, or two landmarks or ranges of landmarks by index (from 0): "36,45" is the distance from landmark 36 to
            45, "36-41,42-47" the distance between the means of these. None: the distance between the outer eye corners if it is
            known which landmarks these are (faces of 68, 98 or 29 landmarks), else the box.

    Returns:
        The name of the unit, and sizes (N,) in pixels.
    """
    count = len(dataset.category.joints)
    known = EYES.get(count, {})
    unit = unit or (INTER_OCULAR if INTER_OCULAR in known else BOX)
    if unit == BOX:
        return "box (sqrt(width * height))", box_sizes([face.box for face in dataset.instances])
    if unit in UNITS and unit not in known:
        raise HRNetError(f"it is not known which of {count} landmarks make {unit}: give them by index, as `unit` 36-41,42-47")
    first, second = known[unit] if unit in known else _landmark_groups(unit, count)
    return unit, keypoint_distances(np.stack([face.keypoints for face in dataset.instances]), first, second)


def _landmark_groups(text: str, count: int) -> LandmarkGroups:
    groups = [_indices(part, count) for part in text.split(",")]
    if len(groups) != 2 or not all(groups) or groups[0] == groups[1]:
        known = ", ".join(UNITS)
        raise HRNetError(f"`unit` is one of {known}, or two of landmarks 0 to {count - 1}, as 36,45 or 36-41,42-47; got {text!r}")
    return groups[0], groups[1]


def _indices(text: str, count: int) -> tuple[int, ...]:
    """The landmarks of "36" or "36-41"; none if the text is of another form or an index is out of range."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    if not match or int(match[2] or match[1]) >= count:
        return ()
    return tuple(range(int(match[1]), int(match[2] or match[1]) + 1))
