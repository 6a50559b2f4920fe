"""From the region proposal network's maps to the boxes that the box head looks at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mobile_eval.tasks.detection.anchors import Array, decode, level_anchors, sigmoid
from mobile_eval.tasks.detection.constants import RPN_IOU, RPN_STDS
from mobile_eval.tasks.detection.nms import suppress
from mobile_eval.typed import Size


def proposals(
    objectness: Sequence[Array], deltas: Sequence[Array], size: Size, candidates: int, count: int
) -> tuple[Array, Array]:
    """The best boxes (count, 4) and their scores (count,), then zeros, from each level's logits (A,) and deltas (A, 4).

    Suppression is level by level, among the best `candidates` of each.
    """
    boxes, scores = [], []
    for anchors, logits, moves in zip(level_anchors(size), objectness, deltas, strict=True):
        best = np.argsort(-logits, kind="stable")[:candidates]
        found = decode(anchors[best], moves[best], RPN_STDS, size)
        has_area = np.all(found[:, 2:] > found[:, :2], axis=1)
        found, own = found[has_area], sigmoid(logits[best][has_area])
        kept = suppress(found, RPN_IOU, count)
        boxes.append(found[kept])
        scores.append(own[kept])
    together = np.concatenate(scores)
    order = np.argsort(-together, kind="stable")[:count]
    filled = np.zeros((count, 5), np.float32)
    filled[: len(order)] = np.column_stack([np.concatenate(boxes), together])[order]
    return filled[:, :4], filled[:, 4]
