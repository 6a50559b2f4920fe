"""Report of pose models: PCK, AP, and skeletons over photographs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_item
from mobile_eval.metrics.metric import none_if_nan
from mobile_eval.metrics.pck import correct_keypoints
from mobile_eval.tasks.pose.chain import ChainResult
from mobile_eval.tasks.pose.detector_boxes import DetectorBoxesResult
from mobile_eval.tasks.pose.evaluate import PoseResult
from mobile_eval.tasks.report import Example, LabeledResult, ModelMeasurement, Panel, TaskReport, ratio, sums_by_group
from mobile_eval.viz.cutout import cut_out
from mobile_eval.viz.poses import skeleton_svg

ABOUT = (
    "AP is COCO’s, by object keypoint similarity, with ground-truth boxes (a dash where the joints’ sigmas are not known); "
    "PCK@0.1 is the share of joints found within a tenth of the longer side of the person’s box."
)
AnyPoseResult = PoseResult | DetectorBoxesResult | ChainResult


def measure(result: AnyPoseResult, dataset: KeypointDataset) -> ModelMeasurement:
    """PCK and AP; the correctness of a joint is whether it was found."""
    result = _in_annotated_boxes(result)
    truth = np.stack([instance.keypoints for instance in dataset.instances])
    correct = correct_keypoints(result.keypoints, truth, [instance.box for instance in dataset.instances]).astype(np.float64)
    counts = np.column_stack([correct.sum(axis=1), (truth[..., 2] > 0).sum(axis=1)])
    return ModelMeasurement(
        score=result.pck.pck,
        secondary_score=result.oks.ap if result.oks else None,
        per_class={name: none_if_nan(share) for name, share in zip(result.joints, result.pck.per_joint, strict=True)},
        correctness=correct,
        sums=sums_by_group(counts, [instance.image_id for instance in dataset.instances]),
    )


def _in_annotated_boxes(result: AnyPoseResult) -> PoseResult:
    if isinstance(result, ChainResult):
        return result.true_boxes
    if isinstance(result, DetectorBoxesResult):
        raise HRNetError("models are compared in annotated boxes: leave `boxes` out")
    return result


def example(dataset: KeypointDataset, index: int, models: Sequence[LabeledResult[AnyPoseResult]]) -> Example:
    """The skeleton of a person, annotated and predicted."""
    instance, category = dataset.instances[index], dataset.category
    cutout = cut_out(read_item(instance), instance.box)
    labeled = instance.keypoints[:, 2] > 0
    truth = Markup(skeleton_svg(instance.keypoints, category, cutout))
    panels = [Panel("ground truth", f"{int(labeled.sum())} labelled", truth)]
    for model in models:
        correct = model.measurement.correctness[index] > 0
        keypoints = _in_annotated_boxes(model.result).keypoints[index]
        overlay = Markup(skeleton_svg(keypoints, category, cutout, labeled & ~correct))
        panels.append(Panel(model.label, f"{int(correct.sum())} of {int(labeled.sum())} found", overlay))
    return Example(index, instance.image_path.name, cutout, tuple(panels))


def legend(dataset: KeypointDataset) -> Markup:
    """The colors of skeletons."""
    return Markup(
        '<span class="key" style="background:#39b6ff;margin-left:0"></span>left'
        '<span class="key" style="background:#ff8b3d"></span>right<span class="key" style="background:#7be08a"></span>neither'
        '<span class="key wrong"></span>labelled but not found within the tolerance; faint: the model’s score is low'
    )


REPORT = TaskReport(
    secondary_metric="AP",
    items="people",
    class_noun="joint",
    about=ABOUT,
    measure=measure,
    example=example,
    score_of_sums=ratio,
    legend=legend,
)
