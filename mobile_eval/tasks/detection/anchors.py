"""Anchors of a detector's pyramid levels, and boxes decoded from deltas, as in training (mmdetection 2.x).

Boxes are corners x1, y1, x2, y2 in pixels of the network's input.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.tasks.detection.constants import ANCHOR_RATIOS, ANCHOR_SCALE, MAX_LOG_SCALE, STRIDES, level_sizes
from mobile_eval.typed import Size

Array = NDArray[np.float32]


@lru_cache(maxsize=4)
def level_anchors(size: Size, *, rounds_up: bool = False) -> tuple[Array, ...]:
    """Anchors (A, 4) of each level for an input of `size` (height, width), by row, column and ratio; see `level_sizes`."""
    roots = np.sqrt(ANCHOR_RATIOS)
    levels = []
    for stride, (rows, columns) in zip(STRIDES, level_sizes(size, rounds_up=rounds_up), strict=True):
        sides = ANCHOR_SCALE * stride * np.stack([1 / roots, roots], axis=-1)  # width, height
        y, x = np.mgrid[:rows, :columns] * stride
        centers = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
        levels.append(np.concatenate([centers - sides / 2, centers + sides / 2], axis=-1).reshape(-1, 4).astype(np.float32))
    return tuple(levels)


def decode(boxes: Array, deltas: Array, stds: Sequence[float], size: Size) -> Array:
    """Apply deltas to boxes.

    Args:
        boxes: Boxes (..., 4).
        deltas: Deltas (..., 4) of the center and the logarithm of the sides.
        stds: Units of the deltas.
        size: Size (height, width) of the network's input, at which boxes are clipped.

    Returns:
        The boxes (..., 4).
    """
    deltas = deltas * np.array(stds, np.float32)
    sides = boxes[..., 2:] - boxes[..., :2]
    centers = boxes[..., :2] + sides / 2 + deltas[..., :2] * sides
    halves = np.exp(np.clip(deltas[..., 2:], -MAX_LOG_SCALE, MAX_LOG_SCALE)) * sides / 2
    corners = np.concatenate([centers - halves, centers + halves], axis=-1)
    return np.asarray(np.clip(corners, 0, np.array([size[1], size[0]] * 2, np.float32)), np.float32)


def sigmoid(logits: NDArray[Any]) -> Array:
    """Probabilities of logits."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -80, 80, dtype=np.float32))), np.float32)


def softmax(logits: NDArray[Any]) -> Array:
    """Probabilities (..., classes) of logits."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)
