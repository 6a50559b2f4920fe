"""Anchors of the pyramid's levels and the coding of boxes as deltas, as in mmdetection 2.x.

A box is its corners x1, y1, x2, y2 in pixels of the input. Deltas are (dx, dy, dw, dh): the shift of the center in widths and
heights of the box, and the logarithms of the changes in width and height.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import tf
from hrnet_tf.backend.types import Tensor
from mobile_eval.tasks.detection.constants import (
    ANCHOR_RATIOS,
    ANCHOR_SCALE,
    ANCHORS_PER_POSITION,
    MAX_LOG_SCALE,
    STRIDES,
    level_sizes,
)
from mobile_eval.typed import Size


def anchor_counts(image_size: Size, *, rounds_up: bool = False) -> list[int]:
    """Number of anchors of each level, P2 to P6, for an image of this (height, width); see `level_sizes`."""
    return [ANCHORS_PER_POSITION * rows * columns for rows, columns in level_sizes(image_size, rounds_up=rounds_up)]


def anchor_boxes(image_size: Size, *, rounds_up: bool = False) -> NDArray[np.float32]:
    """Return the anchors of all levels.

    They are centered on multiples of the stride, as in mmdetection 2.x (`center_offset` 0). keras-cv's AnchorGenerator
    centers them half a stride further and makes one more row where the pool to P6 rounds down.

    Args:
        image_size: (height, width) in pixels.
        rounds_up: See `level_sizes`.

    Returns:
        Corners in pixels, (A, 4), ordered by level, row, column and aspect ratio.
    """
    levels = []
    for stride, (rows, columns) in zip(STRIDES, level_sizes(image_size, rounds_up=rounds_up), strict=True):
        roots = np.sqrt(ANCHOR_RATIOS)
        sides = ANCHOR_SCALE * stride * np.stack([1 / roots, roots], axis=-1)  # width, height
        y, x = np.mgrid[:rows, :columns] * stride
        centers = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
        levels.append(np.concatenate([centers - sides / 2, centers + sides / 2], axis=-1).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def decode_deltas(boxes: Tensor, deltas: Tensor, stds: Sequence[float]) -> Tensor:
    """Move and scale boxes by deltas.

    keras-cv's decoder reads deltas as (dy, dx, dh, dw) and lets sizes grow without bound.

    Args:
        boxes: Corners (..., 4).
        deltas: Deltas (..., 4) in units of `stds`.
        stds: The four standard deviations by which deltas are scaled.

    Returns:
        Corners (..., 4).
    """
    deltas = deltas * tf.constant(stds)
    sizes = boxes[..., 2:] - boxes[..., :2]
    centers = boxes[..., :2] + sizes / 2 + deltas[..., :2] * sizes
    halves = tf.exp(tf.clip_by_value(deltas[..., 2:], -MAX_LOG_SCALE, MAX_LOG_SCALE)) * sizes / 2
    return tf.concat([centers - halves, centers + halves], axis=-1)


def encode_deltas(boxes: Tensor, targets: Tensor, stds: Sequence[float]) -> Tensor:
    """Deltas (..., 4), in units of `stds`, from `boxes` (..., 4) to `targets` (..., 4); zeros where either has no area."""
    sizes, target_sizes = boxes[..., 2:] - boxes[..., :2], targets[..., 2:] - targets[..., :2]
    has_area = tf.reduce_all((sizes > 0) & (target_sizes > 0), axis=-1, keepdims=True)
    sizes, target_sizes = tf.where(has_area, sizes, 1.0), tf.where(has_area, target_sizes, 1.0)
    moves = (targets[..., :2] + targets[..., 2:] - boxes[..., :2] - boxes[..., 2:]) / 2 / sizes
    return tf.where(has_area, tf.concat([moves, tf.math.log(target_sizes / sizes)], axis=-1) / tf.constant(stds), 0.0)


def clip_boxes(boxes: Tensor, image_size: Size) -> Tensor:
    """Clip the corners (..., 4) to an image of this (height, width)."""
    height, width = image_size
    return tf.clip_by_value(boxes, 0.0, tf.constant([width, height, width, height], tf.float32))
