"""Report of landmark models: NME, failure rate, and landmarks over photographs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.image.image_file import read_item
from mobile_eval.metrics.metric import FAILURE_THRESHOLD, none_if_nan
from mobile_eval.tasks.landmarks.evaluate import LandmarkResult
from mobile_eval.tasks.report import Example, LabeledResult, ModelMeasurement, Panel, TaskReport, ratio, sums_by_group
from mobile_eval.viz.cutout import cut_out
from mobile_eval.viz.poses import points_svg

ABOUT = (
    "NME is the mean distance of landmarks from their true places in units of the face (between the outer eye corners where "
    f"these are known, else the root of its box’s area), less is better; FR is the share of faces whose error is above "
    f"{FAILURE_THRESHOLD:g}. Both in percent."
)


def measure(result: LandmarkResult, dataset: KeypointDataset) -> ModelMeasurement:
    """NME and failure rate; the correctness of a landmark is its negative error."""
    known = ~np.isnan(result.distances)
    errors = np.where(known, result.distances, 0)
    face_errors = errors.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    sums = np.column_stack([face_errors, known.any(axis=1)])
    return ModelMeasurement(
        score=result.nme.nme,
        secondary_score=result.nme.failure_rate,
        per_class={name: none_if_nan(error) for name, error in zip(result.landmarks, result.nme.per_landmark, strict=True)},
        correctness=-errors,
        sums=sums_by_group(sums, [face.image_id for face in dataset.instances]),
    )


def example(dataset: KeypointDataset, index: int, models: Sequence[LabeledResult[LandmarkResult]]) -> Example:
    """The landmarks of a face, annotated and predicted."""
    face = dataset.instances[index]
    cutout = cut_out(read_item(face), face.box)
    labeled = face.keypoints[:, 2] > 0
    truth = Markup(points_svg(face.keypoints, dataset.category, cutout))
    panels = [Panel("ground truth", f"{int(labeled.sum())} labelled", truth)]
    for model in models:
        error = -model.measurement.correctness[index][labeled].mean() if labeled.any() else np.nan
        overlay = Markup(points_svg(model.result.keypoints[index], dataset.category, cutout))
        panels.append(Panel(model.label, f"error {error * 100:.1f} %", overlay))
    return Example(index, face.image_path.name, cutout, tuple(panels))


REPORT = TaskReport(
    secondary_metric=f"FR@{FAILURE_THRESHOLD:g}",
    items="faces",
    class_noun="landmark",
    about=ABOUT,
    measure=measure,
    example=example,
    score_of_sums=ratio,
)
