"""Pose models side by side: PCK, AP, and skeletons over people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from mobile_eval.datasets.base import TaskDataset
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.image.image_file import read_item
from mobile_eval.metrics.metric import none_if_nan
from mobile_eval.metrics.pck import correct_keypoints
from mobile_eval.report.task_report import Comparing, Example, Measured, Panel, ratio, sums_of_groups
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked
from mobile_eval.tasks.pose.evaluate import evaluate, parse_sigmas
from mobile_eval.tasks.pose.task import METRIC
from mobile_eval.viz.poses import cut_out, skeleton_svg

ABOUT = (
    "AP is COCO’s, by object keypoint similarity, with ground-truth boxes (a dash where the joints’ sigmas are not known); "
    f"{METRIC.name} is the share of joints found within a tenth of the longer side of the person’s box."
)


def measure_pose(model: TFLiteModel, data: KeypointDataset, asked: Asked, progress: bool) -> Measured:
    """PCK and AP of a model on all persons."""
    sigmas = parse_sigmas(asked.sigmas, len(data.category.joints))
    result = evaluate(model, data, sigmas=sigmas, progress=progress)
    truth = np.stack([instance.keypoints for instance in data.instances])
    found = correct_keypoints(result.keypoints, truth, [instance.box for instance in data.instances]).astype(np.float64)
    counts = np.column_stack([found.sum(axis=1), (truth[..., 2] > 0).sum(axis=1)])
    return Measured(
        result=result,
        score=result.pck.pck,
        second=result.oks.ap if result.oks else None,
        sums=sums_of_groups(counts, [instance.image_id for instance in data.instances]),
        parts={name: none_if_nan(share) for name, share in zip(data.category.joints, result.pck.per_joint, strict=True)},
        right=found,
        answers=result.keypoints,
    )


def pose_example(data: KeypointDataset, index: int, models: Sequence[tuple[str, Measured]]) -> Example:
    """A person's skeleton, and those that models found."""
    instance, category = data.instances[index], data.category
    cutout = cut_out(read_item(instance), instance.box)
    labelled = instance.keypoints[:, 2] > 0
    truth = Markup(skeleton_svg(instance.keypoints, category, cutout))
    panels = [Panel("ground truth", f"{int(labelled.sum())} labelled", truth)]
    for label, measured in models:
        found = measured.right[index] > 0
        overlay = Markup(skeleton_svg(measured.answers[index], category, cutout, labelled & ~found))
        panels.append(Panel(label, f"{int(found.sum())} of {int(labelled.sum())} found", overlay))
    return Example(index, instance.image_path.name, cutout, tuple(panels))


def _key(data: TaskDataset) -> Markup:
    return Markup(
        '<span class="key" style="background:#39b6ff;margin-left:0"></span>left'
        '<span class="key" style="background:#ff8b3d"></span>right<span class="key" style="background:#7be08a"></span>neither'
        '<span class="key wrong"></span>labelled but not found within the tolerance; faint: the model’s score is low'
    )


COMPARING = Comparing(METRIC, "AP", "people", "joint", ABOUT, measure_pose, ratio, pose_example, _key)
