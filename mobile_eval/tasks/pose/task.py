"""Pose: AP and AR (OKS), PCK and PCKh, in annotated boxes or a detector's."""

from __future__ import annotations

from mobile_eval.datasets.coco.detector_boxes import load_detector_boxes
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, write_json
from mobile_eval.keypoints.inference import DecodingOptions, checked_decoding
from mobile_eval.metrics.metric import Metric
from mobile_eval.metrics.pck import PCK_THRESHOLD
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked, Task, read_asked
from mobile_eval.tasks.pose.detector_boxes import DetectedResult, evaluate_detected
from mobile_eval.tasks.pose.evaluate import EvaluationResult, evaluate, parse_head_joints, parse_sigmas
from mobile_eval.tasks.pose.inputs import keypoint_inputs, load_keypoints
from mobile_eval.tasks.pose.prediction_log import resumable
from mobile_eval.viz.overlays import draw_keypoints

METRIC = Metric(f"PCK@{PCK_THRESHOLD:g}", "pck")


def evaluate_pose(model: TFLiteModel, asked: Asked, *, progress: bool) -> DetectedResult | EvaluationResult:
    """Measure a pose model; writes the keypoints where that is asked for."""
    if asked.boxes and asked.head_joints:
        raise HRNetError("`head_joints` is for PCKh, which is measured in annotated boxes; leave `boxes` out")
    predicted = resumable(asked.predictions, resume=asked.resume)
    dataset = read_asked(load_keypoints, model, asked)
    sigmas = parse_sigmas(asked.sigmas, len(dataset.category.joints))
    options = DecodingOptions(asked.flip, checked_decoding(asked.decoding), asked.flip_pairs)
    options.check(model)
    if asked.overlays:
        check_output_folder(asked.overlays)  # before the work, not after
    result: DetectedResult | EvaluationResult
    if asked.boxes:
        detections = load_detector_boxes(asked.boxes, dataset, asked.source.path("images"), asked.least_score)
        result = evaluate_detected(
            model, dataset, detections, sigmas=sigmas, options=options, predicted=predicted, progress=progress
        )
    else:
        heads = parse_head_joints(asked.head_joints, dataset.category.joints)
        result = evaluate(
            model, dataset, sigmas=sigmas, options=options, predicted=predicted, head_joints=heads, progress=progress
        )
    if asked.overlays:
        draw_keypoints(asked.overlays, dataset, result.results)
    if asked.predictions:
        write_json(asked.predictions, result.results)
    return result


TASK = Task(
    needs=("annotations", "images"),
    takes=(
        "limit",
        "exif",
        "flip",
        "flip_pairs",
        "decoding",
        "sigmas",
        "head_joints",
        "boxes",
        "least_score",
        "predictions",
        "resume",
        "overlays",
        "category",
        "strict",
    ),
    evaluate=evaluate_pose,
    load=load_keypoints,
    inputs=keypoint_inputs,
    compared="mobile_eval.tasks.pose.report",
)
