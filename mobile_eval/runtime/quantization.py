"""Quantize real values for a model's tensors, and dequantize them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.image.preprocess import normalize
from mobile_eval.model.description import ModelInput, TensorFormat

SIGN = 128  # difference between the bytes of uint8 and int8


def quantize(values: NDArray[np.float32], tensor: TensorFormat) -> NDArray[np.generic]:
    """Quantize real values to those that a tensor stores, rounded and clipped to its type's range."""
    if tensor.dtype == "float32":
        return np.asarray(values, np.float32)
    limits = np.iinfo(tensor.dtype)
    stored = np.rint(values / np.float32(tensor.scale)) + tensor.zero_point
    return np.asarray(np.clip(stored, limits.min, limits.max), tensor.dtype)


def dequantize(stored: NDArray[np.generic], tensor: TensorFormat) -> NDArray[np.float32]:
    """Convert the values that a tensor stores to real values."""
    if tensor.dtype == "float32":
        return np.asarray(stored, np.float32)
    return np.asarray((stored.astype(np.float32) - np.float32(tensor.zero_point)) * np.float32(tensor.scale), np.float32)


class InputQuantizer:
    """Converts RGB bytes to the integers that the input tensor stores: normalization and quantization in one step.

    Together they are a linear function of the byte, which opencv computes in a sixth of the time of a table look-up. It is used
    where it gives the same result as the table for each of the 256 values.

    Args:
        source: The model's input, of an integer type.
    """

    table: NDArray[np.integer[Any]]  # (256, 1, 3)

    def __init__(self, source: ModelInput):
        levels = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 1, 3))
        self.table = np.asarray(quantize(normalize(levels, source.mean, source.std), source.tensor), source.tensor.dtype)
        self._is_identity = np.array_equal(self.table, levels)  # the model normalizes a camera's bytes itself
        self._linear: NDArray[np.float64] | None = None
        if not self._is_identity:
            slope = 1 / (255 * np.array(source.std) * (source.tensor.scale or 1.0))
            offset = (source.tensor.zero_point or 0) - 255 * np.array(source.mean) * slope
            self._linear = np.column_stack([np.diag(slope), offset + (SIGN if self.table.dtype == np.int8 else 0)])
            rows = np.repeat(levels, source.size[1], axis=1)  # as wide as a crop: opencv computes the end of a row differently
            if not np.array_equal(self(rows[None])[0], np.broadcast_to(self.table, rows.shape)):
                self._linear = None

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Convert crops (N, H, W, 3) to the tensor's type."""
        if self._is_identity:
            return crops
        if self._linear is None:
            return np.asarray(cv2.LUT(crops.reshape(-1, 1, 3), self.table).reshape(crops.shape))
        stored = np.asarray(cv2.transform(crops.reshape(-1, *crops.shape[2:]), self._linear), np.uint8).reshape(crops.shape)
        return (stored ^ SIGN).view(np.int8) if self.table.dtype == np.int8 else stored
