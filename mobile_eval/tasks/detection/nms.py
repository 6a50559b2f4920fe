"""Non-maximum suppression: of boxes that overlap, the best remains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def overlaps(box: Array, boxes: Array) -> Array:
    """Intersection over union of one box (4,) with others (N, 4), as corners."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    both = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray(both / np.maximum(areas + np.prod(box[2:] - box[:2]) - both, 1e-9), np.float32)


def suppress(boxes: Array, threshold: float, limit: int) -> NDArray[np.intp]:
    """The indices of at most `limit` boxes (N, 4), best first as these are, that no better one overlaps by more."""
    kept: list[int] = []
    left = np.arange(len(boxes))
    while len(left) and len(kept) < limit:
        first, left = left[0], left[1:]
        kept.append(int(first))
        left = left[overlaps(boxes[first], boxes[left]) <= threshold]
    return np.array(kept, np.intp)
