"""From the outputs of a detector's two stages to boxes: proposals, objects, and non-maximum suppression (NMS).

Boxes are corners x1, y1, x2, y2 in pixels of the network's input, unless stated otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.schema import Id
from mobile_eval.tasks.detection.anchors import Array, decode, level_anchors, sigmoid, softmax
from mobile_eval.tasks.detection.constants import BOX_IOU, BOX_STDS, MAX_DETECTIONS, RPN_IOU, RPN_STDS, SCORE_THRESHOLD
from mobile_eval.typed import Size

MIN_AREA = np.float32(1e-9)  # of a union, square pixels


class BoxResult(TypedDict):
    """An entry of a COCO detection results file."""

    image_id: Id
    category_id: Id
    bbox: list[float]
    score: float


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one image, best first.

    Attributes:
        boxes: COCO boxes (N, 4) as x, y, width, height in image pixels.
        scores: Scores (N,), 0 to 1.
        labels: Class indices (N,), from 0.
    """

    boxes: Array
    scores: Array
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def results(self, image_id: Id, category_ids: tuple[Id, ...]) -> list[BoxResult]:
        """COCO detection results; `category_ids` are the ids of the classes."""
        return [
            {"image_id": image_id, "category_id": category_ids[label], "bbox": box, "score": score}
            for box, score, label in zip(self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True)
        ]


def decode_proposals(
    objectness: Sequence[Array], deltas: Sequence[Array], size: Size, candidates: int, count: int, *, rounds_up: bool = False
) -> tuple[Array, Array]:
    """Decode the outputs of the region proposal network. NMS is applied to each level by itself.

    Args:
        objectness: Logits (A,) of each level.
        deltas: Box deltas (A, 4) of each level.
        size: Size (height, width) of the network's input.
        candidates: Number of best anchors of a level that are considered.
        count: Number of proposals to return.
        rounds_up: See `level_sizes`.

    Returns:
        The best boxes (count, 4) and their scores (count,), filled up with zeros.
    """
    boxes, scores = [], []
    for anchors, logits, level_deltas in zip(level_anchors(size, rounds_up=rounds_up), objectness, deltas, strict=True):
        best = np.argsort(-logits, kind="stable")[:candidates]
        level_boxes = decode(anchors[best], level_deltas[best], RPN_STDS, size)
        has_area = np.all(level_boxes[:, 2:] > level_boxes[:, :2], axis=1)
        level_boxes, level_scores = level_boxes[has_area], sigmoid(logits[best][has_area])
        selected = non_maximum_suppression(level_boxes, RPN_IOU, count)
        boxes.append(level_boxes[selected])
        scores.append(level_scores[selected])
    all_scores = np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")[:count]
    filled = np.zeros((count, 5), np.float32)
    filled[: len(order)] = np.column_stack([np.concatenate(boxes), all_scores])[order]
    return filled[:, :4], filled[:, 4]


def decode_objects(
    proposals: Array,
    objectness: Array,
    class_logits: Array,
    box_deltas: Array,
    input_size: Size,
    image_size: Size,
    *,
    min_score: float = SCORE_THRESHOLD,
) -> Objects:
    """Decode the outputs of the box head. NMS is applied to each class by itself.

    Args:
        proposals: Boxes (R, 4).
        objectness: Their scores (R,); 0 for those that only fill up.
        class_logits: Logits (R, classes + 1); the last class is the background.
        box_deltas: Deltas (R, 4 * (classes + 1)), or (R, classes + 1, 4).
        input_size: Size (height, width) of the network's input.
        image_size: Size (height, width) of the image that was resized to it.
        min_score: Lowest score of an object, above 0.

    Returns:
        The objects, in pixels of the image.
    """
    scores = np.where(objectness[:, None] > 0, softmax(class_logits)[:, :-1], 0)
    rows, labels = np.nonzero(scores >= min_score)
    deltas = box_deltas.reshape(len(box_deltas), -1, 4)[rows, labels]
    boxes = decode(proposals[rows], deltas, BOX_STDS, input_size)
    return best_objects(boxes, scores[rows, labels], labels, input_size, image_size)


def best_objects(boxes: Array, scores: NDArray[Any], labels: NDArray[np.intp], input_size: Size, image_size: Size) -> Objects:
    """Return the best objects, at most `MAX_DETECTIONS`. NMS is applied to each class by itself.

    Args:
        boxes: Corners (N, 4) in pixels of the network's input.
        scores: Scores (N,).
        labels: Class indices (N,).
        input_size: Size (height, width) of the network's input.
        image_size: Size (height, width) of the image that was resized to it.

    Returns:
        The objects, in pixels of the image.
    """
    order = np.argsort(-scores, kind="stable")
    selected = []
    for label in sorted(set(labels.tolist())):  # faster than np.unique for a few
        candidates = order[labels[order] == label]
        selected.append(candidates[non_maximum_suppression(boxes[candidates], BOX_IOU, MAX_DETECTIONS)])
    best = np.concatenate(selected) if selected else np.zeros(0, np.intp)
    best = best[np.argsort(-scores[best], kind="stable")][:MAX_DETECTIONS]
    scale = np.array([image_size[1] / input_size[1], image_size[0] / input_size[0]] * 2, np.float32)
    in_image = boxes[best] * scale
    in_image[:, 2:] -= in_image[:, :2]
    return Objects(in_image, np.asarray(scores[best], np.float32), labels[best].astype(np.int64))


def non_maximum_suppression(boxes: Array, threshold: float, limit: int) -> NDArray[np.intp]:
    """Select boxes that no better selected box overlaps. An empty box overlaps none, as in TensorFlow.

    Args:
        boxes: Boxes (N, 4), best first.
        threshold: Highest intersection over union of two selected boxes.
        limit: Highest number of selected boxes.

    Returns:
        Indices of the selected boxes, best first.
    """
    if len(boxes) <= 1:
        return np.arange(len(boxes))[:limit]
    rectangles = np.asarray(boxes, np.float64).reshape(-1, 4)
    rectangles = np.concatenate([rectangles[:, :2], rectangles[:, 2:] - rectangles[:, :2]], axis=1)
    is_empty = (rectangles[:, 2:] <= 0).any(axis=1)
    indices = np.flatnonzero(~is_empty)  # OpenCV takes two empty boxes for the same box
    if len(indices):
        order = list(range(len(indices), 0, -1))  # in place of scores: OpenCV sorts by them
        indices = indices[np.asarray(cv2.dnn.NMSBoxes(rectangles[indices].tolist(), order, 0.0, threshold), np.intp).ravel()]
    return np.sort(np.concatenate([indices, np.flatnonzero(is_empty)]))[:limit]


def box_ious(box: Array, boxes: Array) -> Array:
    """Intersection over union (N,) of a box (4,) with others (N, 4)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    intersections = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    unions = areas + np.prod(box[2:] - box[:2]) - intersections
    return np.asarray(intersections / np.maximum(unions, MIN_AREA), np.float32)
