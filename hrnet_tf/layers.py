"""The few layers of which everything is made; in a form that TFLite, QAT and the Edge TPU accept."""

from __future__ import annotations

from typing import Any

from hrnet_tf._keras import keras, tf

BATCH_NORM = {"epsilon": 1e-5, "momentum": 0.9}  # PyTorch counts momentum the other way round: 0.1


@keras.utils.register_keras_serializable("hrnet_tf")
class NearestUpsampling(keras.layers.Layer):  # type: ignore[misc]
    """Nearest-neighbour upsampling by an integer factor: (N, H, W, C) to (N, factor * H, factor * W, C).

    `UpSampling2D` computes the same values, but with half-pixel centers, which become a version of TFLite's
    RESIZE_NEAREST_NEIGHBOR that Edge TPU compilers refuse.
    """

    def __init__(self, factor: int, name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        _, height, width, _ = inputs.shape
        size = (height * self.factor, width * self.factor)
        return tf.raw_ops.ResizeNearestNeighbor(images=inputs, size=size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


def conv_unit(
    x: Any, channels: int, kernel: int, *, name: str, index: int = 1, stride: int = 1, relu: bool = True, folded: bool = False
) -> Any:
    """Convolution without bias, BatchNorm and (if `relu`) ReLU, padded as PyTorch does.

    The layers are `{name}_conv{index}`, `{name}_bn{index}`, `{name}_relu{index}`. `folded` builds what
    remains when BatchNorm is folded into the convolution: a bias, and the activation inside.
    """
    padding = "same"
    if stride > 1 and kernel > 1:  # "same" would pad an even size at the far side only
        x = keras.layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad{index}")(x)
        padding = "valid"
    x = keras.layers.Conv2D(
        channels,
        kernel,
        stride,
        padding,
        use_bias=folded,
        activation="relu" if folded and relu else None,
        kernel_initializer="he_normal",
        name=f"{name}_conv{index}",
    )(x)
    if folded:
        return x
    x = keras.layers.BatchNormalization(**BATCH_NORM, name=f"{name}_bn{index}")(x)
    return keras.layers.ReLU(name=f"{name}_relu{index}")(x) if relu else x


def add_all(tensors: list[Any], *, name: str) -> Any:
    """Sum as a chain of two-input additions: QAT leaves float islands around an `Add` of three."""
    total, *rest = tensors
    for index, tensor in enumerate(rest, 1):
        total = keras.layers.Add(name=f"{name}_add{index}")([total, tensor])
    return total
