"""The few layers of which everything is made; in a form that TFLite, QAT and the Edge TPU accept."""

from __future__ import annotations

import random
from typing import Any, Protocol

import numpy as np

from hrnet_tf.backend.keras_module import keras, ops
from hrnet_tf.models.normalization import batch_normalization
from hrnet_tf.spec.network import Unit
from mobile_eval.errors import HRNetError

DECONVOLUTION = "deconvolution"  # how names of transposed convolutions begin: their kernels are (h, w, out, in)


class UnitWrapper(Protocol):
    """Makes something else of what a removable unit adds, such as a gate on it."""

    def __call__(self, added: Any, unit: Unit) -> Any: ...


@keras.utils.register_keras_serializable("hrnet_tf")
class KaimingNormal(keras.initializers.Initializer):  # type: ignore[misc]
    """Normal with variance 2 / (inputs of one output) (He et al., arXiv 1502.01852), seeded by Python's `random`.

    Keras's `he_normal` cuts the tails, and takes several times as long: seconds for the larger networks.
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        rng = np.random.default_rng(random.getrandbits(64))
        values = rng.standard_normal(tuple(shape), np.float32)
        values *= np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        return ops.cast(ops.convert_to_tensor(values), dtype or "float32")


@keras.utils.register_keras_serializable("hrnet_tf")
class Upsampling(keras.layers.Layer):  # type: ignore[misc]
    """Upsampling by an integer factor, nearest or bilinear: (N, H, W, C) to (N, factor * H, factor * W, C).

    Bilinear has half-pixel centers (PyTorch's align_corners=False). `UpSampling2D` computes the same values, in a
    form of nearest that Edge TPU compilers refuse (see `_tf_ops`).
    """

    def __init__(self, factor: int, interpolation: str = "nearest", name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.factor = factor
        self.interpolation = interpolation

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if training and self.interpolation == "nearest":  # the same values, with a gradient that XLA has too
            return ops.repeat(ops.repeat(inputs, self.factor, axis=1), self.factor, axis=2)
        _, height, width, _ = ops.shape(inputs)
        size = (height * self.factor, width * self.factor)
        return ops.image.resize(inputs, size, interpolation=self.interpolation)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "interpolation": self.interpolation}


def conv_unit(
    x: Any,
    channels: int,
    kernel: int,
    *,
    name: str,
    index: int = 1,
    stride: int = 1,
    bias: bool = False,
    relu: bool = True,
    folded: bool = False,
) -> Any:
    """Convolution (with `bias`, if the original has one), BatchNorm and (if `relu`) ReLU, padded as PyTorch does.

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
        use_bias=folded or bias,
        activation="relu" if folded and relu else None,
        kernel_initializer=KaimingNormal(),
        name=f"{name}_conv{index}",
    )(x)
    return x if folded else _normalized(x, name, index, relu=relu)


def deconv_unit(x: Any, channels: int, kernel: int, *, name: str, index: int = 1, stride: int = 2, folded: bool = False) -> Any:
    """Transposed convolution (without bias) to `stride` times the size, BatchNorm and ReLU; named as `conv_unit` names.

    `name` begins with DECONVOLUTION, by which folding knows the kernel's axes. "same" crops what PyTorch's
    padding of (kernel - stride) / 2 crops, so that must be a whole number.
    """
    if (kernel - stride) % 2 or kernel < stride:
        raise HRNetError(f"kernel {kernel} of stride {stride}: kernel - stride must be even and not negative")
    x = keras.layers.Conv2DTranspose(
        channels,
        kernel,
        stride,
        "same",
        use_bias=folded,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),  # as the official repository
        name=f"{name}_conv{index}",
    )(x)
    if folded:
        # TFLite has no activation inside a transposed convolution, so QAT must round between the two. Directly
        # before a ReLU, tensorflow-model-optimization takes Conv2DTranspose for a Conv2D and leaves it in float.
        x = keras.layers.Activation("linear", name=f"{name}_linear{index}")(x)
        return keras.layers.ReLU(name=f"{name}_relu{index}")(x)
    return _normalized(x, name, index)


def _normalized(x: Any, name: str, index: int, *, relu: bool = True) -> Any:
    x = batch_normalization(f"{name}_bn{index}")(x)
    return keras.layers.ReLU(name=f"{name}_relu{index}")(x) if relu else x


def add_all(tensors: list[Any], *, name: str) -> Any:
    """Sum as a chain of two-input additions: QAT leaves float islands around an `Add` of three."""
    total, *rest = tensors
    for index, tensor in enumerate(rest, 1):
        total = keras.layers.Add(name=f"{name}_add{index}")([total, tensor])
    return total
