"""The layers of which all networks are made, in a form that TFLite, QAT and the Edge TPU accept."""

from __future__ import annotations

import json
import random
from typing import Any, Protocol

import numpy as np

from hrnet_tf.backend.keras_module import BACKEND, keras, ops, tf
from hrnet_tf.backend.resizing import resize
from hrnet_tf.backend.types import KerasDType, KerasLayer, Shape, Tensor
from hrnet_tf.spec.baselines.layers import ConvUnit, epsilon_of
from hrnet_tf.spec.units import Unit
from mobile_eval.errors import HRNetError
from mobile_eval.typed import JsonObject

DECONVOLUTION = "deconvolution"  # prefix of the names of transposed convolutions, whose kernels are (h, w, out, in)
NORM_SUFFIX = "_norm"  # of the names of BatchNorm layers that follow no convolution
OUTPUT_DTYPE = "float32"  # also with a mixed precision policy: losses in float16 overflow
MOMENTUM = 0.9  # of BatchNorm; PyTorch's is the complement, 0.1


class UnitWrapper(Protocol):
    """Maps the output of a removable unit, for example by a gate."""

    def __call__(self, x: Tensor, unit: Unit) -> Tensor: ...


@keras.utils.register_keras_serializable("hrnet_tf")
class KaimingNormal(keras.initializers.Initializer):  # type: ignore[misc]
    """Normal with variance 2 / (inputs per output) (He et al., arXiv 1502.01852), seeded by Python's `random`.

    Keras's `he_normal` truncates the tails, and takes seconds for the larger networks.
    """

    def __call__(self, shape: Shape, dtype: KerasDType = None) -> Tensor:
        rng = np.random.default_rng(random.getrandbits(64))
        values = rng.standard_normal(tuple(shape), np.float32)
        values *= np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        return ops.cast(ops.convert_to_tensor(values), dtype or "float32")


@keras.utils.register_keras_serializable("hrnet_tf")
class StemPadding(keras.layers.ZeroPadding2D):  # type: ignore[misc]
    """The zero padding before the first convolution, which carries the network's spec.

    So every model that contains the trunk knows its spec: `hrnet_tf.models.trunk.spec_of` reads it, also after saving, cloning,
    and below a head of the user's own.

    Args:
        padding: Number of rows and columns of zeros on each side.
        spec: The network, as `hrnet_tf.spec.architectures.network_to_json` returns it.
        name: Name of the layer.
    """

    def __init__(self, padding: int = 1, spec: JsonObject | None = None, name: str = "stem_pad1", **kwargs: Any):
        super().__init__(padding, name=name, **kwargs)
        self.network_spec = json.dumps(spec)  # as text: Keras would track a dictionary

    def get_config(self) -> JsonObject:
        return {**super().get_config(), "spec": json.loads(self.network_spec)}


@keras.utils.register_keras_serializable("hrnet_tf")
class Upsampling(keras.layers.Layer):  # type: ignore[misc]
    """Upsampling by an integer factor, from (N, H, W, C) to (N, factor * H, factor * W, C).

    `UpSampling2D` computes the same values, but Edge TPU compilers refuse its nearest interpolation (see
    `hrnet_tf.backend.tf_ops`).

    Args:
        factor: The factor.
        interpolation: "nearest", "bilinear" or "aligned", see `hrnet_tf.backend.resizing.resize`.
        name: Name of the layer.
    """

    def __init__(self, factor: int, interpolation: str = "nearest", name: str | None = None, **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.factor = factor
        self.interpolation = interpolation

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if training and self.interpolation == "nearest":  # the same values, with a gradient that XLA supports
            return ops.repeat(ops.repeat(inputs, self.factor, axis=1), self.factor, axis=2)
        _, height, width, _ = ops.shape(inputs)
        return resize(inputs, (height * self.factor, width * self.factor), self.interpolation)

    def get_config(self) -> JsonObject:
        return {**super().get_config(), "factor": self.factor, "interpolation": self.interpolation}


class ChannelMasking(Protocol):
    """Computes BatchNorm layers without some of their output channels."""

    def masked(self, layer: UnbiasedBatchNormalization, inputs: Tensor, training: bool | None) -> Tensor:
        """Return the outputs of a layer (N, ..., C)."""


@keras.utils.register_keras_serializable("hrnet_tf")
class UnbiasedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """BatchNorm whose moving variance is unbiased: that of n values is multiplied by n / (n - 1).

    PyTorch and the fused kernel of tf_keras do the same; Keras 3, and tf_keras with statistics over several devices, do not. One
    class for all, as files of weights name the classes of layers.

    Attributes:
        masking: What masks some of its channels while smaller networks are trained or measured; None for none.
    """

    masking: ChannelMasking | None = None

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        return self.masking.masked(self, inputs, training) if self.masking else self.normalized(inputs, training, mask)

    def normalized(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        """Return the normalized inputs (N, ..., C), and in training update the moving statistics."""
        biased = training and self.trainable and not getattr(self, "fused", False)
        decayed = self.momentum * self.moving_variance if biased else None  # before the call, which updates the variance
        outputs = super().call(inputs, training=training, mask=mask)
        if biased:
            count = ops.cast(_replicas() * (ops.size(inputs) // inputs.shape[-1]), self.moving_variance.dtype)
            update = self.moving_variance - decayed
            self.moving_variance.assign(decayed + update * count / ops.maximum(count - 1, 1))
        return outputs


def batch_normalization(name: str, dtype: KerasDType = None) -> KerasLayer:
    """Return a BatchNorm layer with an unbiased moving variance; `dtype` is its policy, None for the global one.

    Under a `tf.distribute` strategy with several devices, its statistics are those of all devices.
    """
    synchronized = {"synchronized": True} if _replicas() > 1 else {}
    return UnbiasedBatchNormalization(epsilon=epsilon_of(name), momentum=MOMENTUM, **synchronized, dtype=dtype, name=name)


def _replicas() -> int:
    return int(tf.distribute.get_strategy().num_replicas_in_sync) if BACKEND == "tensorflow" else 1


def convolution(unit: ConvUnit, *, padding: str, use_bias: bool, activation: str | None, dtype: KerasDType = None) -> KerasLayer:
    """Return the convolution of a unit, depthwise if that names no number of channels.

    Args:
        unit: The unit.
        padding: "valid" or "same".
        use_bias: Whether it has a bias: its own, or BatchNorm's folded into it.
        activation: "relu" if it has the ReLU of the unit inside; else None.
        dtype: Policy of the layer; None for the global one.
    """
    options = {
        "kernel_size": unit.kernel,
        "strides": unit.stride,
        "padding": padding,
        "dilation_rate": unit.dilation,
        "use_bias": use_bias,
        "activation": activation,
        "dtype": dtype,
        "name": unit.conv_name,
    }
    if unit.channels is None:
        initializer = keras.initializers.RandomNormal(stddev=(2 / unit.kernel**2) ** 0.5)  # one input per output
        return keras.layers.DepthwiseConv2D(depthwise_initializer=initializer, **options)
    layer = keras.layers.Conv2D(unit.channels, groups=unit.groups, kernel_initializer=KaimingNormal(), **options)
    return dilate_directly(layer) if unit.dilation > 1 else layer


def dilate_directly(layer: KerasLayer) -> KerasLayer:
    """Make a dilated `Conv2D` call TensorFlow's kernel for dilation, and return it.

    Keras calls `tf.nn.convolution`, which moves pixels into the batch and back. At a dilation of the size of the map almost all
    of what it computes is padding: training DeepLabv3 takes 23 times as long on a processor (`benchmarks/dilated_training.py`).
    A copy from the layer's config is as Keras makes it.
    """

    def convolution_op(inputs: Tensor, kernel: Tensor) -> Tensor:
        return tf.nn.conv2d(inputs, kernel, layer.strides, layer.padding.upper(), dilations=layer.dilation_rate)

    if BACKEND == "tensorflow":
        layer.convolution_op = convolution_op
    return layer


def deconv_unit(
    x: Tensor, channels: int, kernel: int, *, name: str, index: int = 1, stride: int = 2, folded: bool = False
) -> Tensor:
    """Build a transposed convolution to `stride` times the size, BatchNorm and ReLU; see `ConvUnit` for the names.

    `name` must begin with `DECONVOLUTION`, by which `fold_batch_norm` recognizes the order of the kernel's axes. "same" crops
    what PyTorch's padding of (kernel - stride) / 2 crops, which therefore must be an integer.

    Raises:
        HRNetError: If kernel - stride is odd or negative.
    """
    if (kernel - stride) % 2 or kernel < stride:
        raise HRNetError(f"`kernel` - `stride` must be even and not negative, got {kernel} - {stride}")
    x = keras.layers.Conv2DTranspose(
        channels,
        kernel,
        stride,
        "same",
        use_bias=folded,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),  # as in the official repository
        name=f"{name}_conv{index}",
    )(x)
    if folded:
        # TFLite has no activation inside a transposed convolution, so QAT must round between the two. Directly
        # before a ReLU, tensorflow-model-optimization takes Conv2DTranspose for a Conv2D and leaves it in float.
        x = keras.layers.Activation("linear", name=f"{name}_conv{index}_linear")(x)
        return keras.layers.ReLU(name=f"{name}_relu{index}")(x)
    return normalized(x, name, index)


def normalization(x: Tensor, name: str, *, relu: bool = True, folded: bool = False) -> Tensor:
    """Build BatchNorm that follows no convolution, `{name}_norm`, and a ReLU.

    Folded, it is a depthwise 1x1 convolution of that name, with the ReLU as activation.
    """
    if folded:
        activation = "relu" if relu else None
        return keras.layers.DepthwiseConv2D(1, activation=activation, name=f"{name}{NORM_SUFFIX}")(x)
    x = batch_normalization(f"{name}{NORM_SUFFIX}")(x)
    return keras.layers.ReLU(name=f"{name}_norm_relu")(x) if relu else x


def normalized(x: Tensor, name: str, index: int, *, relu: bool = True, dtype: KerasDType = None) -> Tensor:
    """Build the BatchNorm of a convolution, `{name}_bn{index}`, and a ReLU, `{name}_relu{index}`."""
    x = batch_normalization(f"{name}_bn{index}", dtype)(x)
    return keras.layers.ReLU(name=f"{name}_relu{index}")(x) if relu else x


def output_conv(x: Tensor, channels: int, name: str, bias: float = 0.0) -> Tensor:
    """Build the 1x1 convolution with bias, initially `bias`, named `name`, to an output of the network in float32."""
    kernel = keras.initializers.RandomNormal(stddev=0.001)  # as in the official repositories
    biases = keras.initializers.Constant(bias)
    return keras.layers.Conv2D(channels, 1, kernel_initializer=kernel, bias_initializer=biases, dtype=OUTPUT_DTYPE, name=name)(x)


def output_dense(x: Tensor, outputs: int, name: str) -> Tensor:
    """Build the dense layer, named `name`, from vectors (N, C) to an output of the network in float32."""
    return keras.layers.Dense(outputs, dtype=OUTPUT_DTYPE, name=name)(x)


def add_all(tensors: list[Tensor], *, name: str) -> Tensor:
    """Sum tensors by a chain of two-input additions: QAT does not quantize an `Add` of three inputs completely."""
    total, *rest = tensors
    for index, tensor in enumerate(rest, 1):
        total = keras.layers.Add(name=f"{name}_add{index}")([total, tensor])
    return total
