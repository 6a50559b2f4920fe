"""Resizing of feature maps as PyTorch does it, with either Keras."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.choice import TF_KERAS
from hrnet_tf.backend.keras_module import NAME, ops
from hrnet_tf.backend.types import Tensor
from mobile_eval.typed import Size

ALIGNED = "aligned"


def resize(x: Tensor, size: Size, interpolation: str) -> Tensor:
    """Upsample feature maps (N, H, W, C) to (N, *size, C).

    Args:
        x: Feature maps of known height and width.
        size: (height, width) of the result.
        interpolation: "nearest": of the pixel floor(i * H / height); "bilinear": with half-pixel centers, PyTorch's
            align_corners=False; "aligned": with the corners of both maps in one place, PyTorch's align_corners=True.
    """
    if NAME != TF_KERAS and interpolation == ALIGNED:
        rows, columns = (_aligned_matrix(int(side), target) for side, target in zip(x.shape[1:3], size, strict=True))
        return ops.einsum("yh,xw,nhwc->nyxc", rows, columns, ops.cast(x, "float32"))
    if NAME != TF_KERAS and interpolation == "nearest":  # Keras 3 has half-pixel centers, which differ where a factor is broken
        for axis, target in enumerate(size, 1):
            x = ops.take(x, np.arange(target) * x.shape[axis] // target, axis=axis)
        return x
    return ops.image.resize(x, size, interpolation=interpolation)


def _aligned_matrix(source: int, target: int) -> NDArray[np.float32]:
    """The weight (target, source) of each source pixel in each target pixel, between its two neighbors."""
    positions = np.linspace(0, source - 1, target)
    return np.maximum(1 - np.abs(positions[:, None] - np.arange(source)), 0).astype(np.float32)
