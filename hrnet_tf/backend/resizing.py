"""Bilinear resizing with aligned corners, which Keras does not have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import BACKEND, ops, tf
from hrnet_tf.backend.types import Tensor
from mobile_eval.typed import Size


def resize_aligned(maps: Tensor, size: Size) -> Tensor:
    """Resize maps bilinearly so that the centers of the corners stay in place (PyTorch's align_corners=True).

    Args:
        maps: Maps (N, h, w, C).
        size: Height and width of the result.

    Returns:
        Maps (N, height, width, C). In TFLite, a RESIZE_BILINEAR with align_corners.
    """
    if BACKEND == "tensorflow":
        resized = tf.raw_ops.ResizeBilinear(images=maps, size=size, align_corners=True)  # always float32
        return tf.cast(resized, maps.dtype)
    rows, columns = (ops.cast(_weights(old, new), maps.dtype) for old, new in zip(maps.shape[1:3], size, strict=True))
    return ops.einsum("yh,nhwc,xw->nyxc", rows, maps, columns)


def _weights(old: int, new: int) -> NDArray[np.float32]:
    """The weights (new, old) of linear interpolation along an axis."""
    positions = np.linspace(0, old - 1, new)
    return np.asarray(np.maximum(1 - np.abs(positions[:, None] - np.arange(old)), 0), np.float32)
