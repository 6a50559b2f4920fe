"""Layers that resize and pool feature maps to sizes that need not be multiples of each other, or scale them."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.keras_module import keras, ops
from hrnet_tf.backend.resizing import resize
from hrnet_tf.backend.types import Tensor
from mobile_eval.typed import JsonObject, Size


@keras.utils.register_keras_serializable("hrnet_tf")
class Resize(keras.layers.Layer):  # type: ignore[misc]
    """Upsampling by any factor, from (N, H, W, C) to (N, *size, C).

    From 1x1, all pixels are the same, whatever the interpolation; nearest neighbors then map to most targets.

    Args:
        size: (height, width) of the result.
        interpolation: See `hrnet_tf.backend.resizing.resize`.
        name: Name of the layer.
    """

    def __init__(self, size: Size, interpolation: str = "nearest", name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.size = (int(size[0]), int(size[1]))
        self.interpolation = interpolation

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if tuple(inputs.shape[1:3]) != (1, 1):
            return resize(inputs, self.size, self.interpolation)
        if training:  # the same values, with a gradient that XLA supports
            return ops.repeat(ops.repeat(inputs, self.size[0], axis=1), self.size[1], axis=2)
        return resize(inputs, self.size, "nearest")

    def get_config(self) -> JsonObject:
        return {**super().get_config(), "size": self.size, "interpolation": self.interpolation}


@keras.utils.register_keras_serializable("hrnet_tf")
class AdaptiveMean(keras.layers.Layer):  # type: ignore[misc]
    """Means over windows, from (N, H, W, C) to (N, bins, bins, C), as PyTorch's AdaptiveAvgPool2d computes them.

    Window i of an axis of n pixels covers those from floor(i n / bins) to ceil((i + 1) n / bins), so that windows overlap where
    `bins` does not divide n. Means over rows are followed by means over columns: 2 * bins slices in place of bins^2.

    Args:
        bins: Number of windows in each direction.
        name: Name of the layer.
    """

    def __init__(self, bins: int, name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.bins = bins

    def call(self, inputs: Tensor) -> Tensor:
        height, width = inputs.shape[1:3]
        rows = [ops.mean(inputs[:, first:last], axis=1, keepdims=True) for first, last in self._windows(height)]
        x = ops.concatenate(rows, axis=1)
        columns = [ops.mean(x[:, :, first:last], axis=2, keepdims=True) for first, last in self._windows(width)]
        return ops.concatenate(columns, axis=2)

    def _windows(self, pixels: int) -> list[tuple[int, int]]:
        """The first pixel of each window, and that behind it."""
        return [(window * pixels // self.bins, -(-(window + 1) * pixels // self.bins)) for window in range(self.bins)]

    def get_config(self) -> JsonObject:
        return {**super().get_config(), "bins": self.bins}


@keras.utils.register_keras_serializable("hrnet_tf")
class Scaling(keras.layers.Layer):  # type: ignore[misc]
    """Multiplication by a constant.

    Args:
        factor: The constant.
        name: Name of the layer.
    """

    def __init__(self, factor: float, name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.factor = factor

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self.factor

    def get_config(self) -> JsonObject:
        return {**super().get_config(), "factor": self.factor}
