"""Real values and what a model's tensors hold of them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.image.preprocess import normalize
from mobile_eval.model.description import ModelInput, TensorFormat

SIGN = 128  # from int8 to uint8


def quantize(values: NDArray[np.float32], tensor: TensorFormat) -> NDArray[Any]:
    """Real values as a tensor stores them."""
    if tensor.dtype == "float32":
        return np.asarray(values, np.float32)
    limits = np.iinfo(tensor.dtype)
    stored = np.rint(values / np.float32(tensor.scale)) + tensor.zero_point
    return np.asarray(np.clip(stored, limits.min, limits.max), tensor.dtype)


def dequantize(stored: NDArray[Any], tensor: TensorFormat) -> NDArray[np.float32]:
    """Real values of what a tensor stores."""
    if tensor.dtype == "float32":
        return np.asarray(stored, np.float32)
    return np.asarray((stored.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale), np.float32)


class StoredBytes:
    """Bytes of crops as the input tensor of integers holds them: normalized and quantized in one step.

    By a linear function, where that gives exactly what normalizing and quantizing each of the 256 values gives, else by a table
    of these: opencv computes the one in a sixth of the time in which it looks up the other.
    """

    def __init__(self, source: ModelInput):
        levels = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 1, 3))
        self.table = quantize(normalize(levels, source.mean, source.std), source.tensor)
        self._as_they_are = np.array_equal(self.table, levels)  # a camera's
        self._linear: NDArray[np.float64] | None = None
        if not self._as_they_are:
            slope = 1 / (255 * np.array(source.std) * (source.tensor.scale or 1.0))
            offset = (source.tensor.zero_point or 0) - 255 * np.array(source.mean) * slope
            self._linear = np.column_stack([np.diag(slope), offset + (SIGN if self.table.dtype == np.int8 else 0)])
            rows = np.repeat(levels, source.size[1], axis=1)  # as wide as a crop: opencv takes the end of a row another way
            if not np.array_equal(self(rows[None])[0], np.broadcast_to(self.table, rows.shape)):
                self._linear = None

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.integer[Any]]:
        """Crops (N, H, W, 3) in the tensor's type."""
        if self._as_they_are:
            return crops
        if self._linear is None:
            return np.asarray(cv2.LUT(crops.reshape(-1, 1, 3), self.table).reshape(crops.shape))
        stored = np.asarray(cv2.transform(crops.reshape(-1, *crops.shape[2:]), self._linear), np.uint8).reshape(crops.shape)
        return (stored ^ SIGN).view(np.int8) if self.table.dtype == np.int8 else stored
