"""Facial landmarks: NME, failure rate and AUC, in annotated boxes."""

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
from mobile_eval.files import check_output_folder, write_json
from mobile_eval.keypoints.inference import DecodingOptions, checked_decoding, predict_instances
from mobile_eval.metrics.distance import box_sizes, keypoint_distances, normalized_distances
from mobile_eval.metrics.metric import Metric
from mobile_eval.metrics.nme import FAILURE_THRESHOLD, NmeResult, nme
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked, Task, read_asked
from mobile_eval.tasks.pose.evaluate import Predicted, check_joints, coco_results, predict_keypoints
from mobile_eval.tasks.pose.inputs import keypoint_inputs, load_keypoints
from mobile_eval.tasks.pose.prediction_log import resumable
from mobile_eval.viz.overlays import draw_keypoints
from mobile_eval.words import number_of

METRIC = Metric("NME", "nme", higher_is_better=False)
Pair = tuple[tuple[int, ...], tuple[int, ...]]
CORNERS, CENTRES, BOX = UNITS = ("inter-ocular", "inter-pupil", "box")
# Landmarks between which a face is measured, by how many there are; the outer corners are the official code's.
EYES: dict[int, dict[str, Pair]] = {
    68: {CORNERS: ((36,), (45,)), CENTRES: (tuple(range(36, 42)), tuple(range(42, 48)))},  # 300W
    98: {CORNERS: ((60,), (72,)), CENTRES: ((96,), (97,))},  # WFLW
    29: {CORNERS: ((8,), (9,))},  # COFW
}


def load_faces(source: DataSource) -> KeypointDataset:
    """The faces of an annotation file; where their landmarks' names tell no sides, those of the markup of so many landmarks."""
    data = load_keypoints(source)
    if data.category.flip_pairs is not None:
        return data
    pairs = FACE_PAIRS.get(len(data.category.joints))
    return dataclasses.replace(data, category=dataclasses.replace(data.category, flip_pairs=pairs))


@dataclass(frozen=True, eq=False)
class LandmarkResult:
    """Accuracy of a landmark model; `unit` says what errors are in units of.

    `keypoints` (N, K, 3): x, y in image pixels and score, in the order of the data set's faces; `results` are the same as COCO
    results.
    """

    model: str
    faces: int
    images: int
    landmarks: tuple[str, ...]
    unit: str
    nme: NmeResult
    keypoints: NDArray[np.float64]
    results: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the keypoints; NaN becomes null."""
        measured = {"model": self.model, "faces": self.faces, "images": self.images, "unit": self.unit}
        return {**measured, **self.nme.to_json(self.landmarks)}

    def __str__(self) -> str:
        left_out = self.faces - self.nme.faces_counted
        why = f" ({left_out} without the landmarks that measure a face are left out)" if left_out else ""
        faces, images = number_of(self.faces, "faces"), number_of(self.images, "images")
        return f"{self.model}: {faces} in {images}, errors by {self.unit}\n{self.nme}{why}"


def evaluate_landmarks(
    model: TFLiteModel,
    dataset: KeypointDataset,
    *,
    unit: str | None = None,
    failure_above: float = FAILURE_THRESHOLD,
    options: DecodingOptions | None = None,
    predicted: Predicted = predict_instances,
    progress: bool = False,
) -> LandmarkResult:
    """Run `model` on every face of `dataset` (ground-truth boxes) and measure what it finds; `unit` as `face_units` takes it."""
    check_joints(model, dataset.category)
    face_units(dataset, unit)  # before the work, not after
    keypoints = predict_keypoints(model, dataset.instances, options, predicted, progress=progress)
    return measure_landmarks(model.path.name, dataset, keypoints, unit, failure_above)


def measure_landmarks(
    name: str,
    dataset: KeypointDataset,
    keypoints: NDArray[np.float64],
    unit: str | None = None,
    failure_above: float = FAILURE_THRESHOLD,
) -> LandmarkResult:
    """Accuracy of `keypoints` (N, K, 3), found by whatever means for the faces of `dataset`."""
    said, units = face_units(dataset, unit)
    truth = np.stack([face.keypoints for face in dataset.instances])
    images = len({face.image_id for face in dataset.instances})
    errors = nme(normalized_distances(keypoints, truth, units), failure_above)
    landmarks, results = dataset.category.joints, coco_results(dataset, keypoints)
    return LandmarkResult(name, len(dataset), images, landmarks, said, errors, keypoints, results)


def face_units(dataset: KeypointDataset, unit: str | None = None) -> tuple[str, NDArray[np.float64]]:
    """How large each face is (N,) in pixels, and by what: one of UNITS, or the landmarks to measure between.

    "36,45" is from landmark 36 to 45 (0-based), "36-41,42-47" between the means of these. By default it is between the outer
    eye corners where it is known which landmarks these are (of 68, 98 or 29), else the box.
    """
    count = len(dataset.category.joints)
    known = EYES.get(count, {})
    unit = unit or (CORNERS if CORNERS in known else BOX)
    if unit == BOX:
        return "box (sqrt(width * height))", box_sizes([face.box for face in dataset.instances])
    if unit in UNITS and unit not in known:
        raise HRNetError(f"it is not known which of {count} landmarks make {unit}: give them by index, as `unit` 36-41,42-47")
    first, second = known[unit] if unit in known else _pair(unit, count)
    return unit, keypoint_distances(np.stack([face.keypoints for face in dataset.instances]), first, second)


def _pair(text: str, count: int) -> Pair:
    ends = [_indices(part, count) for part in text.split(",")]
    if len(ends) != len(("first", "second")) or not all(ends) or ends[0] == ends[1]:
        known = ", ".join(UNITS)
        raise HRNetError(f"`unit` is one of {known}, or two of landmarks 0 to {count - 1}, as 36,45 or 36-41,42-47; got {text!r}")
    return ends[0], ends[1]


def _indices(text: str, count: int) -> tuple[int, ...]:
    """Landmarks "36" or "36-41"; none where it is no such text, or there are too few landmarks."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    if not match or int(match[2] or match[1]) >= count:
        return ()
    return tuple(range(int(match[1]), int(match[2] or match[1]) + 1))


def _evaluate(model: TFLiteModel, asked: Asked, *, progress: bool) -> LandmarkResult:
    predicted = resumable(asked.predictions, resume=asked.resume)
    dataset = read_asked(load_faces, model, asked)
    options = DecodingOptions(decoding=checked_decoding(asked.decoding))
    options.check(model)
    if asked.overlays:
        check_output_folder(asked.overlays)  # before the work, not after
    result = evaluate_landmarks(
        model,
        dataset,
        unit=asked.unit,
        failure_above=asked.failure_above,
        options=options,
        predicted=predicted,
        progress=progress,
    )
    if asked.overlays:
        draw_keypoints(asked.overlays, dataset, result.results)
    if asked.predictions:
        write_json(asked.predictions, result.results)
    return result


TASK = Task(
    needs=("annotations", "images"),
    takes=("limit", "exif", "decoding", "unit", "failure_above", "predictions", "resume", "overlays", "category", "strict"),
    evaluate=_evaluate,
    load=load_faces,
    inputs=keypoint_inputs,
    compared="mobile_eval.tasks.landmarks.report",
)
