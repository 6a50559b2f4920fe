"""Anchors of a detector's levels, and boxes that deltas tell of, as mmdetection 2.x has them.

A box is its corners x1, y1, x2, y2 in pixels of the input; deltas are (dx, dy, dw, dh): of the center in widths and heights of
the box, and of the logarithms of width and height.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import tf
from hrnet_tf.models.detection.sizes import DETECTION_ANCHORS, PYRAMID_LEVELS
from hrnet_tf.spec.network import STEM_STRIDE

Size = tuple[int, int]

STRIDES = tuple(STEM_STRIDE * 2**step for step in range(PYRAMID_LEVELS))  # P2 to P6: 4 to 64
# mmdetection 2.x: configs/_base_/models/faster_rcnn_r50_fpn.py
ANCHOR_SCALE = 8  # an anchor of ratio 1 is 8 strides wide
ANCHOR_RATIOS = (0.5, 1.0, 2.0)  # height / width
RPN_STDS = (1.0, 1.0, 1.0, 1.0)
BOX_STDS = (0.1, 0.1, 0.2, 0.2)
MAX_LOG_SCALE = float(np.log(1000 / 16))  # DeltaXYWHBBoxCoder


def anchor_counts(image_size: Size) -> list[int]:
    """Number of anchors of each level, P2 to P6."""
    return [DETECTION_ANCHORS * (image_size[0] // stride) * (image_size[1] // stride) for stride in STRIDES]


def anchor_boxes(image_size: Size) -> NDArray[np.float32]:
    """Anchors (A, 4) as corners in pixels: level by level, row by row, place by place, ratio by ratio.

    Centered on multiples of the stride as in mmdetection 2.x (`center_offset` 0). keras-cv's AnchorGenerator
    centers them half a stride further and makes a row more where the pool to P6 rounds down.
    """
    levels = []
    for stride in STRIDES:
        roots = np.sqrt(ANCHOR_RATIOS)
        sides = ANCHOR_SCALE * stride * np.stack([1 / roots, roots], axis=-1)  # width, height
        y, x = np.mgrid[: image_size[0] // stride, : image_size[1] // stride] * stride
        centers = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
        levels.append(np.concatenate([centers - sides / 2, centers + sides / 2], axis=-1).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def decode_deltas(boxes: Any, deltas: Any, stds: Sequence[float]) -> Any:
    """Boxes (..., 4) moved and scaled by deltas (..., 4) that are in units of `stds`.

    keras-cv's decoder reads deltas as (dy, dx, dh, dw) and lets sizes grow without bound.
    """
    deltas = deltas * tf.constant(stds)
    sizes = boxes[..., 2:] - boxes[..., :2]
    centers = boxes[..., :2] + sizes / 2 + deltas[..., :2] * sizes
    halves = tf.exp(tf.clip_by_value(deltas[..., 2:], -MAX_LOG_SCALE, MAX_LOG_SCALE)) * sizes / 2
    return tf.concat([centers - halves, centers + halves], axis=-1)


def encode_deltas(boxes: Any, wanted: Any, stds: Sequence[float]) -> Any:
    """Deltas (..., 4), in units of `stds`, that make `boxes` (..., 4) the `wanted` ones; zeros where either has no area."""
    own, other = boxes[..., 2:] - boxes[..., :2], wanted[..., 2:] - wanted[..., :2]
    has_area = tf.reduce_all((own > 0) & (other > 0), axis=-1, keepdims=True)
    own, other = tf.where(has_area, own, 1.0), tf.where(has_area, other, 1.0)
    moves = (wanted[..., :2] + wanted[..., 2:] - boxes[..., :2] - boxes[..., 2:]) / 2 / own
    return tf.where(has_area, tf.concat([moves, tf.math.log(other / own)], axis=-1) / tf.constant(stds), 0.0)


def clip_boxes(boxes: Any, image_size: Size) -> Any:
    """Boxes (..., 4) cut at the borders of the image."""
    height, width = image_size
    return tf.clip_by_value(boxes, 0.0, tf.constant([width, height, width, height], tf.float32))
