"""Landmark models side by side: NME, failure rate, and landmarks over faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from mobile_eval.datasets.base import TaskDataset
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.image.image_file import read_item
from mobile_eval.metrics.distance import normalized_distances
from mobile_eval.metrics.metric import none_if_nan
from mobile_eval.metrics.nme import FAILURE_THRESHOLD
from mobile_eval.report.task_report import Comparing, Example, Measured, Panel, ratio, sums_of_groups
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked
from mobile_eval.tasks.landmarks.evaluate import METRIC, evaluate_landmarks, face_units
from mobile_eval.viz.poses import cut_out, points_svg

ABOUT = (
    "NME is the mean distance of landmarks from their true places in units of the face (between the outer eye corners where "
    f"these are known, else the root of its box’s area), less is better; FR is the share of faces whose error is above "
    f"{FAILURE_THRESHOLD:g}. Both in percent."
)


def measure_faces(model: TFLiteModel, data: KeypointDataset, asked: Asked, progress: bool) -> Measured:
    """NME and failure rate of a model on all faces."""
    result = evaluate_landmarks(model, data, unit=asked.unit, failure_above=asked.failure_above, progress=progress)
    truth = np.stack([face.keypoints for face in data.instances])
    distances = normalized_distances(result.keypoints, truth, face_units(data, asked.unit)[1])
    known = ~np.isnan(distances)
    errors = np.where(known, distances, 0)
    counted = known.any(axis=1)
    of_faces = errors.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return Measured(
        result=result,
        score=result.nme.nme,
        second=result.nme.failure_rate,
        sums=sums_of_groups(np.column_stack([of_faces, counted]), [face.image_id for face in data.instances]),
        parts={name: none_if_nan(error) for name, error in zip(data.category.joints, result.nme.per_landmark, strict=True)},
        right=-errors,
        answers=result.keypoints,
    )


def face_example(data: KeypointDataset, index: int, models: Sequence[tuple[str, Measured]]) -> Example:
    """A face's landmarks, and those that models found."""
    face = data.instances[index]
    cutout = cut_out(read_item(face), face.box)
    labelled = face.keypoints[:, 2] > 0
    panels = [Panel("ground truth", f"{int(labelled.sum())} labelled", Markup(points_svg(face.keypoints, data.category, cutout)))]
    for label, measured in models:
        error = -measured.right[index][labelled].mean() if labelled.any() else np.nan
        overlay = Markup(points_svg(measured.answers[index], data.category, cutout))
        panels.append(Panel(label, f"error {error * 100:.1f} %", overlay))
    return Example(index, face.image_path.name, cutout, tuple(panels))


def _key(data: TaskDataset) -> Markup:
    return Markup("")


COMPARING = Comparing(METRIC, f"FR@{FAILURE_THRESHOLD:g}", "faces", "landmark", ABOUT, measure_faces, ratio, face_example, _key)
