"""Accuracy of pose models in the boxes of a person detector, as papers report it: rescored, and after OKS-NMS."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.detector_boxes import DetectorBox, load_detector_boxes
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.coco.schema import Id
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import BOX_PADDING, expand_box
from mobile_eval.keypoints.inference import DecodingOptions, checked_decoding
from mobile_eval.messages import number_of
from mobile_eval.metrics.keypoint_ap import KeypointApResult, keypoint_ap
from mobile_eval.metrics.oks import oks_nms
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import TaskResult
from mobile_eval.tasks.pose.evaluate import oks_sigmas
from mobile_eval.tasks.pose.options import PoseEvalOptions
from mobile_eval.tasks.pose.predictions import KeypointResult, instance_score, predict_dataset, write_predictions


@dataclass(frozen=True)
class DetectorBoxesResult(TaskResult):
    """AP and AR of a pose model in a detector's boxes.

    Attributes:
        model: File name of the model.
        boxes: Number of boxes.
        oks: AP and AR.
        results: The poses that are left after OKS-NMS, as COCO results; COCO's server takes them.
    """

    model: str
    boxes: int
    oks: KeypointApResult
    results: list[KeypointResult]

    def to_json(self) -> dict[str, Any]:
        """Plain data without the poses."""
        return {"model": self.model, "boxes": self.boxes, "poses": len(self.results), "oks": dataclasses.asdict(self.oks)}

    def __str__(self) -> str:
        boxes, poses = number_of(self.boxes, "boxes"), number_of(len(self.results), "poses")
        return f"{self.model}: {boxes} of a detector, {poses} kept\n{self.oks}"


def evaluate_in_detector_boxes(
    model: TFLiteModel, dataset: KeypointDataset, options: PoseEvalOptions, *, progress: bool = False
) -> DetectorBoxesResult:
    """Run a model in every box of a detector, and measure the poses against the annotations.

    Args:
        model: A model whose joints are the data set's.
        dataset: Annotated people.
        options: `boxes` is the file of the detector's boxes; flip test, decoding, sigmas, and files to write.
        progress: Show a progress bar.
    """
    if options.boxes is None:
        raise HRNetError("give `boxes`, the detector's boxes as COCO detection results")
    sigmas = oks_sigmas(model, dataset, options)
    if sigmas is None:
        raise HRNetError(f"no OKS sigmas are known for the joints of {dataset.category.name!r}; give them with `sigmas`")
    detections = load_detector_boxes(options.boxes, dataset, dataset.image_folder, options.min_score)
    inference = DecodingOptions(options.flip, checked_decoding(options.decoding), options.flip_pairs)
    keypoints = predict_dataset(model, dataset, options, inference, detections, progress=progress)
    results = rescored_results(dataset.category_id, detections, keypoints, sigmas, model.input_size)
    write_predictions(dataset, results, options)
    figures = keypoint_ap(dataset.coco, results, sigmas, dataset.category_id)
    return DetectorBoxesResult(model.path.name, len(detections), figures, results)


def rescored_results(
    category_id: Id,
    detections: Sequence[DetectorBox],
    keypoints: NDArray[np.float64],
    sigmas: Sequence[float],
    input_size: tuple[int, int],
) -> list[KeypointResult]:
    """COCO results of poses, scored by their boxes and keypoints, after OKS-NMS.

    The area of a pose is that of its crop with padding, as in the official code.

    Args:
        category_id: Id of the category.
        detections: N boxes; those of an image follow each other.
        keypoints: Predictions (N, K, 3).
        sigmas: OKS sigmas (K,).
        input_size: Size (height, width) of the network's input.
    """
    results: list[KeypointResult] = []
    for image_id, group in groupby(range(len(detections)), key=lambda index: detections[index].image_id):
        indices = list(group)
        poses = keypoints[indices]
        scores = np.array([instance_score(pose, detections[i].score) for pose, i in zip(poses, indices, strict=True)])
        areas = np.array([np.prod(expand_box(detections[i].box, input_size, BOX_PADDING)[1]) for i in indices])
        for index in oks_nms(poses, scores, areas, sigmas):
            values, score = poses[index].reshape(-1).tolist(), float(scores[index])
            results.append({"image_id": image_id, "category_id": category_id, "keypoints": values, "score": score})
    return results
