"""Accuracy with a detector's boxes, as the papers' tables have it: rescored, and poses that are another's left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.detector_boxes import DetectorBox
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.coco.schema import Id
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import BOX_PADDING, expand_box
from mobile_eval.keypoints.inference import DecodingOptions, predict_instances
from mobile_eval.metrics.keypoint_ap import KeypointApResult, keypoint_ap
from mobile_eval.metrics.oks import oks_nms
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.evaluate import Predicted, check_joints, instance_score, predict_keypoints
from mobile_eval.words import number_of


@dataclass(frozen=True, eq=False)
class DetectedResult:
    """AP and AR with a detector's boxes. `results` are COCO keypoint results of the poses kept, as COCO's server takes them."""

    model: str
    boxes: int
    oks: KeypointApResult
    results: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the keypoints."""
        return {"model": self.model, "boxes": self.boxes, "poses": len(self.results), "oks": dataclasses.asdict(self.oks)}

    def __str__(self) -> str:
        boxes, poses = number_of(self.boxes, "boxes"), number_of(len(self.results), "poses")
        return f"{self.model}: {boxes} of a detector, {poses} kept\n{self.oks}"


def evaluate_detected(
    model: TFLiteModel,
    dataset: KeypointDataset,
    detections: Sequence[DetectorBox],
    *,
    sigmas: Sequence[float] | None = None,
    options: DecodingOptions | None = None,
    predicted: Predicted = predict_instances,
    progress: bool = False,
) -> DetectedResult:
    """Run `model` in every box of `detections`, and measure against the annotations of `dataset`."""
    check_joints(model, dataset.category)
    known = sigmas or dataset.category.sigmas or model.description.category.sigmas
    if known is None:
        raise HRNetError(f"no OKS sigmas are known for the joints of {dataset.category.name!r}; give them with `sigmas`")
    keypoints = predict_keypoints(model, detections, options, predicted, progress=progress)
    results = kept_results(dataset.category_id, detections, keypoints, known, model.input_size)
    figures = keypoint_ap(dataset.coco, results, known, dataset.category_id)
    return DetectedResult(model.path.name, len(detections), figures, results)


def kept_results(
    category_id: Id,
    detections: Sequence[DetectorBox],
    keypoints: NDArray[np.float64],
    sigmas: Sequence[float],
    input_size: tuple[int, int],
) -> list[dict[str, Any]]:
    """COCO results of keypoints (N, K, 3), those of one image following each other: rescored by their boxes, and after OKS-NMS.

    A pose's area is that of its crop, padding and all, as in the official code.
    """
    results: list[dict[str, Any]] = []
    for image_id, group in groupby(range(len(detections)), key=lambda index: detections[index].image_id):
        indices = list(group)
        poses = keypoints[indices]
        scores = np.array([instance_score(pose, detections[i].score) for pose, i in zip(poses, indices, strict=True)])
        areas = np.array([np.prod(expand_box(detections[i].box, input_size, BOX_PADDING)[1]) for i in indices])
        for place in oks_nms(poses, scores, areas, sigmas):
            numbers = {"keypoints": poses[place].reshape(-1).tolist(), "score": float(scores[place])}
            results.append({"image_id": image_id, "category_id": category_id, **numbers})
    return results
