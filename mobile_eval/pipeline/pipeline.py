"""A detector and a model in its boxes: from an image to the poses or faces of everyone in it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Array, Box, Image
from mobile_eval.image.image_file import read_image
from mobile_eval.keypoints.inference import DecodingOptions, crop_input, predict_crop
from mobile_eval.messages import number_of
from mobile_eval.pipeline.detectors import ObjectDetector, open_detector
from mobile_eval.pipeline.options import MAX_BOXES, MAX_IOU, MIN_BOX_SCORE
from mobile_eval.pipeline.selection import BoxSelection, class_label
from mobile_eval.runtime.backend import Backend, parse_delegate
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.constants import SCORE_THRESHOLD
from mobile_eval.tasks.pose.predictions import check_finds_keypoints, instance_score
from mobile_eval.typed import JsonObject
from mobile_eval.viz.poses import draw_identity, draw_skeleton

MIN_KEYPOINT_SCORE = 0.2  # keypoints with a lower score are not drawn


@dataclass(frozen=True)
class StepTimes:
    """Time of one stage, in milliseconds: the steps before its network, the network, and the steps after it."""

    before_ms: float = 0.0
    network_ms: float = 0.0
    after_ms: float = 0.0

    @property
    def total_ms(self) -> float:
        """Sum of the steps."""
        return self.before_ms + self.network_ms + self.after_ms


@dataclass(frozen=True, eq=False)
class People:
    """The instances in one image, people or faces, with the best box first.

    Attributes:
        category: Names and bones of the K keypoints.
        boxes: Boxes (N, 4): x, y, width, height in image pixels.
        box_scores: Scores (N,) of the boxes by the detector, 0 to 1; 1 for boxes without a score.
        keypoints: Keypoints (N, K, 3): x and y in image pixels, and score.
        scores: Scores (N,): mean score of the confident keypoints, times the score of the box.
        ids: Identities (N,) from 1 on; None outside of videos.
        detector_times: Times of the detector; zeros where it did not run.
        model_times: Times of the model in all boxes.

    Example:
        >>> people = Pipeline("ssd_mobilenet.tflite", "pose-int8.tflite").predict("photo.jpg")  # doctest: +SKIP
        >>> people.keypoints.shape, people.boxes.shape  # doctest: +SKIP
        ((5, 17, 3), (5, 4))
    """

    category: KeypointCategory
    boxes: Array
    box_scores: Array
    keypoints: Array
    scores: Array
    ids: NDArray[np.int64] | None = None
    detector_times: StepTimes = StepTimes()
    model_times: StepTimes = StepTimes()

    def __len__(self) -> int:
        return len(self.boxes)

    def draw(self, image: Image, min_score: float = MIN_KEYPOINT_SCORE) -> Image:
        """Draw the skeletons into a copy of the image.

        Args:
            image: Image (H, W, 3), RGB.
            min_score: Keypoints with a lower score are not drawn.
        """
        drawn = image
        for keypoints in self.keypoints[::-1]:  # the best on top
            drawn = draw_skeleton(drawn, keypoints, self.category, min_score)
        for box, identity in zip(self.boxes, () if self.ids is None else self.ids.tolist(), strict=False):
            drawn = draw_identity(drawn, box, identity)
        return drawn

    def __str__(self) -> str:
        return number_of(len(self), "people" if self.category.name in ("", "person") else "instances")

    def to_json(self) -> list[JsonObject]:
        """Plain data: for each instance its box, scores and keypoints, and in videos its identity."""
        instances: list[JsonObject] = []
        for index in range(len(self)):
            identity = {} if self.ids is None else {"id": int(self.ids[index])}
            instances.append(
                {
                    **identity,
                    "bbox": [round(float(value), 2) for value in self.boxes[index]],
                    "bbox_score": round(float(self.box_scores[index]), 4),
                    "score": round(float(self.scores[index]), 4),
                    "keypoints": [round(float(value), 3) for value in self.keypoints[index].reshape(-1)],
                }
            )
        return instances


class Pipeline:
    """Finds the instances of a class in images, and predicts the keypoints of each.

    Args:
        detector: A detector, or its file: one of this package, or any `.tflite` with `TFLite_Detection_PostProcess`.
        model: A pose or landmarks model, or its file.
        category: Name or index of the detector's class; None for its only class, or that of the model's category.
        min_score: Lowest score of a box.
        max_iou: Highest intersection over union of two boxes; of two that overlap more, the worse is removed.
        max_boxes: Highest number of boxes of an image, the best ones.
        threads: Number of CPU threads, where files are given.
        delegate: "edgetpu", or the path of a delegate library, where files are given.
        decoding: Flip test and decoding of the model.

    Raises:
        HRNetError: A file cannot be run, the detector has no such class, or the model predicts no keypoints.

    Example:
        >>> pipeline = Pipeline("ssd_mobilenet.tflite", "pose-int8.tflite")  # doctest: +SKIP
        >>> people = pipeline.predict("photo.jpg")  # doctest: +SKIP
        >>> people.keypoints.shape  # doctest: +SKIP
        (5, 17, 3)
    """

    def __init__(
        self,
        detector: ObjectDetector | str | os.PathLike[str],
        model: TFLiteModel | str | os.PathLike[str],
        *,
        category: str | None = None,
        min_score: float = MIN_BOX_SCORE,
        max_iou: float = MAX_IOU,
        max_boxes: int = MAX_BOXES,
        threads: int = 1,
        delegate: str | None = None,
        decoding: DecodingOptions | None = None,
    ):
        backend = Backend(threads=threads, delegate=parse_delegate(delegate))
        self.selection = BoxSelection(min_score, max_iou, max_boxes)
        self.model = model if isinstance(model, TFLiteModel) else TFLiteModel(model, backend)
        check_finds_keypoints(self.model)
        self.decoding = decoding or DecodingOptions()
        self.decoding.check(self.model)
        self.detector = open_detector(Path(detector), backend) if isinstance(detector, str | os.PathLike) else detector
        self.label = class_label(self.detector, category, self.model.description.category.name)

    def predict(self, image: Image | str | os.PathLike[str]) -> People:
        """Find everyone in an image and predict their keypoints.

        Args:
            image: Image (H, W, 3), uint8 RGB, or the path of an image file.

        Returns:
            The instances, the best box first; none if the detector finds none.

        Raises:
            HRNetError: The image cannot be read, or is no RGB image.
        """
        pixels = read_image(Path(image)) if isinstance(image, str | os.PathLike) else _checked_image(image)
        boxes, box_scores, times = self.detect(pixels)
        return predict_boxes(self.model, pixels, boxes, box_scores, self.decoding, times)

    def detect(self, image: Image) -> tuple[Array, Array, StepTimes]:
        """Run the detector alone.

        Args:
            image: Image (H, W, 3), uint8 RGB.

        Returns:
            Selected boxes (N, 4) as x, y, width, height in image pixels, their scores (N,), and the times of the detector.
        """
        height, width = image.shape[:2]
        begun, network_s = time.perf_counter(), self.detector.network_s
        network_input = self.detector.to_input(image)
        prepared = time.perf_counter()
        min_score = max(self.selection.min_score, SCORE_THRESHOLD)  # others are not decoded
        objects = self.detector.objects(network_input, (height, width), min_score=min_score)
        selected = self.selection.select(objects, self.label, (height, width))
        ended, network_s = time.perf_counter(), self.detector.network_s - network_s
        times = StepTimes(1000 * (prepared - begun), 1000 * network_s, 1000 * (ended - prepared - network_s))
        return np.asarray(selected.boxes, np.float64), np.asarray(selected.scores, np.float64), times


def predict_boxes(
    model: TFLiteModel,
    image: Image,
    boxes: Array | Sequence[Box],
    box_scores: Array | None = None,
    decoding: DecodingOptions | None = None,
    detector_times: StepTimes | None = None,
) -> People:
    """Predict the keypoints in boxes of an image, one box after another.

    Args:
        model: A pose or landmarks model.
        image: Image (H, W, 3), RGB.
        boxes: Boxes (N, 4): x, y, width, height.
        box_scores: Scores (N,) of the boxes; None for 1.
        decoding: Flip test and decoding.
        detector_times: What finding the boxes took.
    """
    category, joints = model.description.category, len(model.description.category.joints)
    rows = np.asarray(boxes, np.float64).reshape(-1, 4)
    weights = np.ones(len(rows)) if box_scores is None else box_scores
    begun, network_s = time.perf_counter(), model.network_s
    before_s, keypoints = 0.0, []
    for box in rows:
        before_begun = time.perf_counter()
        crop, matrix = crop_input(model, image, box)
        before_s += time.perf_counter() - before_begun
        keypoints.append(predict_crop(model, crop, matrix, decoding or DecodingOptions()))
    network_s = model.network_s - network_s
    after_s = time.perf_counter() - begun - before_s - network_s
    stacked = np.reshape(keypoints, (len(rows), joints, 3)).astype(np.float64)
    scores = np.array([instance_score(pose, float(weight)) for pose, weight in zip(stacked, weights, strict=True)])
    times = StepTimes(1000 * before_s, 1000 * network_s, 1000 * after_s)
    return People(category, rows, weights, stacked, scores, None, detector_times or StepTimes(), times)


def _checked_image(image: Image) -> Image:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise HRNetError(f"`image` must be RGB (H, W, 3) in uint8, got {image.shape} {image.dtype}")
    return image
