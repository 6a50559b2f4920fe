"""RoIAlign as in mmcv with `aligned=True`: 7x7 bins with two samples per side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobile_eval.tasks.detection.anchors import Array
from mobile_eval.tasks.detection.constants import BIN_SAMPLES, LEVEL_SCALES, POOLED_SIZE, STRIDES


def roi_align(boxes: Array, levels: Sequence[Array]) -> Array:
    """Pool the pyramid in boxes.

    Args:
        boxes: Boxes (R, 4) as x1, y1, x2, y2 in pixels of the network's input.
        levels: Maps (H, W, C) of P2 to P5; a box is read from the level that its size belongs to.

    Returns:
        The means (R, 7, 7, C) of the samples of each bin.
    """
    scales = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    level_of_box = np.sum(scales[:, None] >= np.array(LEVEL_SCALES, np.float32), axis=1)
    pooled = np.empty((len(boxes), POOLED_SIZE, POOLED_SIZE, levels[0].shape[-1]), np.float32)
    for level, (maps, stride) in enumerate(zip(levels, STRIDES, strict=False)):
        in_level = level_of_box == level
        if in_level.any():
            pooled[in_level] = _pooled(maps, boxes[in_level] / stride - 0.5)
    return pooled


def _pooled(maps: Array, boxes: Array) -> Array:
    """Boxes (K, 4) in pixels of the maps (H, W, C)."""
    top, bottom, down = _neighbors(boxes[:, 1], boxes[:, 3], maps.shape[0])
    left, right, along = _neighbors(boxes[:, 0], boxes[:, 2], maps.shape[1])
    pixels = maps.reshape(-1, maps.shape[-1])

    def row(y: NDArray[np.intp]) -> Array:
        """Samples (K, 14, 14, C) on the rows y (K, 14), between their two columns."""
        first, second = (pixels[(y * maps.shape[1])[:, :, None] + x[:, None]] for x in (left, right))
        return np.asarray(first + along[:, None, :, None] * (second - first), np.float32)

    upper = row(top)
    sampled = upper + down[:, :, None, None] * (row(bottom) - upper)
    return np.asarray(
        sampled.reshape(-1, POOLED_SIZE, BIN_SAMPLES, POOLED_SIZE, BIN_SAMPLES, maps.shape[-1]).mean(axis=(2, 4)), np.float32
    )


def _neighbors(start: Array, end: Array, length: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Neighbors of the 14 samples between `start` and `end` (K,) along an axis of that length.

    Returns:
        The pixels (K, 14) before and after each sample, and the distance (K, 14) from the pixel before. Samples beyond an edge
        have the value of the edge.
    """
    samples = (np.arange(BIN_SAMPLES * POOLED_SIZE, dtype=np.float32) + 0.5) / (BIN_SAMPLES * POOLED_SIZE)
    places = np.clip(start[:, None] + (end - start)[:, None] * samples, 0, length - 1)
    before = np.minimum(places.astype(np.intp), max(length - 2, 0))
    return before, np.minimum(before + 1, length - 1), np.asarray(places - before, np.float32)
