"""What a box covers of the pyramid: mmcv's RoIAlign with `aligned=True`, two samples a side of each of the 7x7 bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobile_eval.tasks.detection.anchors import Array
from mobile_eval.tasks.detection.constants import BIN_SAMPLES, LEVEL_SCALES, POOLED_SIZE, STRIDES


def roi_align(boxes: Array, levels: Sequence[Array]) -> Array:
    """Boxes (R, 4) and the maps (H, W, C) of P2 to P5 to (R, 7, 7, C): the mean of a bin's samples."""
    scales = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    level_of_box = np.sum(scales[:, None] >= np.array(LEVEL_SCALES, np.float32), axis=1)
    pooled = np.empty((len(boxes), POOLED_SIZE, POOLED_SIZE, levels[0].shape[-1]), np.float32)
    for level, (maps, stride) in enumerate(zip(levels, STRIDES, strict=False)):
        own = level_of_box == level
        if own.any():
            pooled[own] = _pooled(maps, boxes[own] / stride - 0.5)
    return pooled


def _pooled(maps: Array, boxes: Array) -> Array:
    """Boxes (K, 4) in pixels of the maps (H, W, C)."""
    top, bottom, down = _neighbours(boxes[:, 1], boxes[:, 3], maps.shape[0])
    left, right, along = _neighbours(boxes[:, 0], boxes[:, 2], maps.shape[1])
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


def _neighbours(start: Array, end: Array, length: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """The pixels (K, 14) before and after each sample between `start` and `end` (K,), and how far it is from the first.

    Samples beyond an edge take the edge's value.
    """
    samples = (np.arange(BIN_SAMPLES * POOLED_SIZE, dtype=np.float32) + 0.5) / (BIN_SAMPLES * POOLED_SIZE)
    places = np.clip(start[:, None] + (end - start)[:, None] * samples, 0, length - 1)
    before = np.minimum(places.astype(np.intp), max(length - 2, 0))
    return before, np.minimum(before + 1, length - 1), np.asarray(places - before, np.float32)
