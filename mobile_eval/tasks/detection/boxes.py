"""From the box head's answers to objects: a box for each class, suppression class by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.schema import Id
from mobile_eval.tasks.detection.anchors import Array, decode, softmax
from mobile_eval.tasks.detection.constants import BOX_IOU, BOX_STDS, MAX_DETECTIONS, SCORE_THRESHOLD
from mobile_eval.tasks.detection.nms import suppress
from mobile_eval.typed import Size


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects of one image, best first: boxes (N, 4) as COCO xywh in pixels, scores (N,) and 0-based classes (N,)."""

    boxes: Array
    scores: Array
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def results(self, image_id: Id, category_ids: tuple[Id, ...]) -> list[dict[str, Any]]:
        """COCO detection results."""
        return [
            {"image_id": image_id, "category_id": category_ids[label], "bbox": box, "score": score}
            for box, score, label in zip(self.boxes.tolist(), self.scores.tolist(), self.labels.tolist(), strict=True)
        ]


def objects(
    proposals: Array, objectness: Array, class_logits: Array, box_deltas: Array, input_size: Size, image_size: Size
) -> Objects:
    """The objects that the box head's answers for proposals (R, 4) tell of, in pixels of the image that was resized to the input.

    `objectness` (R,) is 0 for proposals that only fill up; the background is the last of the classes (R, classes + 1).
    """
    scores = np.where(objectness[:, None] > 0, softmax(class_logits)[:, :-1], 0)
    places, labels = np.nonzero(scores > SCORE_THRESHOLD)
    own = box_deltas.reshape(len(box_deltas), -1, 4)[places, labels]
    boxes, sure = decode(proposals[places], own, BOX_STDS, input_size), scores[places, labels]
    order = np.argsort(-sure, kind="stable")
    kept = []
    for label in np.unique(labels):
        candidates = order[labels[order] == label]
        kept.append(candidates[suppress(boxes[candidates], BOX_IOU, MAX_DETECTIONS)])
    chosen = np.concatenate(kept) if kept else np.zeros(0, np.intp)
    chosen = chosen[np.argsort(-sure[chosen], kind="stable")][:MAX_DETECTIONS]
    found = boxes[chosen] * np.array([image_size[1] / input_size[1], image_size[0] / input_size[0]] * 2, np.float32)
    found[:, 2:] -= found[:, :2]
    return Objects(found, np.asarray(sure[chosen], np.float32), labels[chosen].astype(np.int64))
