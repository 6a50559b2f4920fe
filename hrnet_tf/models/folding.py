"""Fold BatchNorm into the convolution before it: the same function with half the layers.

`fold_batch_norm` folds the weights of a network of the package. `Folding` folds any other layers, and replaces those that int8
inference, or quantization-aware training for it, does not know by layers that it does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.graph import LayerCall
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasLayer, Tensor, Weights
from hrnet_tf.models.layers import DECONVOLUTION, NORM_SUFFIX
from hrnet_tf.spec.baselines.layers import epsilon_of
from mobile_eval.errors import HRNetError

NORM_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")
KERNEL_LAYERS = ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "Dense")
AFFINE_LAYERS = ("Rescaling", "Normalization")

Arrays = list[NDArray[np.float32]]
Chain = list[tuple[KerasLayer, Arrays]]  # layers that replace one, in the order in which they run, with their weights
Clone = Callable[..., KerasLayer]  # makes a layer again from its config, with the changes that are keyword arguments


def fold_batch_norm(weights: Weights) -> Weights:
    """Fold BatchNorm into the convolutions of a network's weights.

    With scale = gamma / sqrt(variance + epsilon), the kernel becomes kernel * scale, and the bias becomes
    beta + (bias - mean) * scale. The output channels are the last axis of a kernel, and the last but one of a transposed
    convolution's (`deconvolution*`) and of a depthwise one's. BatchNorm that follows no convolution (`*_norm`) becomes a
    depthwise 1x1 convolution.

    Args:
        weights: Weights of `build_model(spec)`.

    Returns:
        Weights of `build_model(spec, folded=True)`.

    Raises:
        HRNetError: If an array is missing or has a wrong shape.
    """
    folded = {name: array for name, array in weights.items() if not re.search(rf"(_bn\d+|{NORM_SUFFIX})/", name)}
    for name in weights:
        if name.endswith(f"{NORM_SUFFIX}/gamma"):
            norm = name.removesuffix("/gamma")
            scale, offset = _scale_and_offset(weights, norm)
            folded[f"{norm}/depthwise_kernel"] = scale.reshape(1, 1, -1, 1).astype(np.float32)
            folded[f"{norm}/bias"] = offset.astype(np.float32)
        elif match := re.fullmatch(r"(.*)_bn(\d+)/gamma", name):
            conv = f"{match[1]}_conv{match[2]}"
            depthwise = f"{conv}/depthwise_kernel" in weights
            kernel = f"{conv}/depthwise_kernel" if depthwise else f"{conv}/kernel"
            if kernel not in weights:
                raise HRNetError(f"the weights are damaged: they have {name} but not {kernel}")
            scale, offset = _scale_and_offset(weights, name.removesuffix("/gamma"))
            kernel_scale = scale[:, None] if depthwise or conv.startswith(DECONVOLUTION) else scale
            folded[kernel] = (weights[kernel] * kernel_scale).astype(np.float32)
            bias = weights.get(f"{conv}/bias", np.zeros(offset.shape, np.float32)).astype(np.float64)
            folded[f"{conv}/bias"] = (offset + bias * scale).astype(np.float32)
    return folded


def _scale_and_offset(weights: Weights, norm: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The scale and the offset (channels,) of a BatchNorm layer, whose arrays `NORM_PARTS` must have the shape of gamma."""
    names = [f"{norm}/{part}" for part in NORM_PARTS]
    for name in names:
        if name not in weights:
            raise HRNetError(f"the weights are damaged: they have {names[0]} but not {name}")
        if weights[name].shape != weights[names[0]].shape:
            raise HRNetError(
                f"the weights are damaged: {name} must have shape {weights[names[0]].shape}, got {weights[name].shape}"
            )
    gamma, beta, mean, variance = (weights[name].astype(np.float64) for name in names)
    scale = gamma / np.sqrt(variance + epsilon_of(norm))
    return scale, beta - mean * scale


@dataclass(frozen=True)
class Folding:
    """What becomes part of the layer before it.

    Attributes:
        norms: The BatchNorm layers that only normalize the output of one layer with a kernel, by the id of that layer.
        relus: The ids of the layers that compute the ReLU behind them: those with a kernel, and BatchNorm that is not in `norms`.
        absorbed: The ids of these BatchNorm and ReLU layers.
    """

    norms: Mapping[int, KerasLayer]
    relus: frozenset[int]
    absorbed: frozenset[int]

    @classmethod
    def of(cls, calls: Sequence[LayerCall], outputs: Sequence[Tensor]) -> Folding:
        """Find the layers that can be folded.

        Args:
            calls: Calls of a model, in the order of execution.
            outputs: Its outputs.
        """
        producers = {id(x): call.layer for call in calls for x in call.outputs}
        times_called = Counter(id(call.layer) for call in calls)
        times_read = Counter([id(x) for call in calls for x in call.inputs] + [id(x) for x in outputs])
        norms: dict[int, KerasLayer] = {}
        relus: dict[int, KerasLayer] = {}
        for call in calls:
            before = producers.get(id(call.inputs[0])) if len(call.inputs) == 1 else None
            if (
                before is None
                or not times_read[id(call.inputs[0])] == times_called[id(call.layer)] == times_called[id(before)] == 1
            ):
                continue
            if isinstance(call.layer, keras.layers.BatchNormalization) and _is_linear(before):
                norms[id(before)] = call.layer
            elif _is_relu(call.layer):
                conv = next((layer for layer in producers.values() if norms.get(id(layer)) is before), before)
                is_affine = isinstance(conv, keras.layers.BatchNormalization) and len(call.inputs[0].shape) == 4
                if is_affine or (_is_linear(conv) and type(conv).__name__ != "Conv2DTranspose"):
                    relus[id(conv)] = call.layer
        absorbed = frozenset(map(id, (*norms.values(), *relus.values())))
        return cls(norms, frozenset(relus), absorbed)

    def replacement(self, layer: KerasLayer, x: Tensor, clone: Clone) -> Chain:
        """Return the layers that replace one.

        Args:
            layer: A layer that is not in `absorbed`.
            x: Its input.
            clone: Makes a layer again from its config, with changes.
        """
        name, kind = layer.name, type(layer).__name__
        norm, relu = self.norms.get(id(layer)), id(layer) in self.relus
        if kind == "SeparableConv2D":
            return _separated(layer, norm, relu=relu)
        if kind in KERNEL_LAYERS:
            changes = {"use_bias": True} if norm else {}
            return _with_activation(layer, _folded_arrays(layer, norm), relu=relu, clone=clone, **changes)
        if kind == "ReLU" and (layer.max_value, _slope(layer), layer.threshold) == (6, 0, 0):
            return [(_activation("relu6", name), [])]  # of a ReLU layer, QAT does not round the kernel before it
        affine = _affine(layer, int(x.shape[-1])) if len(x.shape) == 4 else None
        if affine is not None:
            scale, offset = affine
            activation = "relu" if relu else None
            depthwise = keras.layers.DepthwiseConv2D(1, activation=activation, name=name, dtype="float32")
            depthwise.trainable = kind not in AFFINE_LAYERS and layer.trainable
            return [(depthwise, [scale.reshape(1, 1, -1, 1).astype(np.float32), offset.astype(np.float32)])]
        return [(clone(layer), layer.get_weights())]


def _is_linear(layer: KerasLayer) -> bool:
    """Whether a layer has a kernel, and no activation."""
    return type(layer).__name__ in KERNEL_LAYERS and layer.activation is keras.activations.linear


def _is_relu(layer: KerasLayer) -> bool:
    if type(layer).__name__ == "ReLU":
        return (layer.max_value, _slope(layer), layer.threshold) == (None, 0, 0)
    return type(layer).__name__ == "Activation" and layer.activation is keras.activations.relu


def _slope(layer: KerasLayer) -> float:
    return float(layer.negative_slope)


def _activation(activation: Any, name: str) -> KerasLayer:
    return keras.layers.Activation(activation, dtype="float32", name=name)


def _with_activation(layer: KerasLayer, arrays: Arrays, *, relu: bool, clone: Clone, **changes: object) -> Chain:
    """A layer with a kernel, and its activation as a layer of its own unless it is a ReLU that the layer can compute."""
    function, transposed = layer.activation, type(layer).__name__ == "Conv2DTranspose"
    fused = not transposed and (relu or function is keras.activations.relu)
    chain: Chain = [(clone(layer, activation="relu" if fused else "linear", **changes), arrays)]
    if transposed:
        # Directly before a ReLU, tensorflow-model-optimization takes Conv2DTranspose for a Conv2D and leaves it in float.
        chain.append((_activation("linear", f"{layer.name}_linear"), []))
    if not fused and function is not keras.activations.linear:
        chain.append((_activation(function, f"{layer.name}_activation"), []))
    return chain


def _separated(layer: KerasLayer, norm: KerasLayer | None, *, relu: bool) -> Chain:
    """A separable convolution as its two convolutions."""
    depthwise = keras.layers.DepthwiseConv2D(
        layer.kernel_size,
        layer.strides,
        layer.padding,
        layer.depth_multiplier,
        dilation_rate=layer.dilation_rate,
        use_bias=False,
        name=f"{layer.name}_depthwise",
        dtype="float32",
    )

    def pointwise(_: KerasLayer, activation: str) -> KerasLayer:
        has_bias = layer.use_bias or norm is not None
        return keras.layers.Conv2D(layer.filters, 1, use_bias=has_bias, activation=activation, name=layer.name, dtype="float32")

    kernel, *rest = layer.get_weights()
    return [(depthwise, [kernel]), *_with_activation(layer, _folded(rest, norm, (-1,)), relu=relu, clone=pointwise)]


def _folded_arrays(layer: KerasLayer, norm: KerasLayer | None) -> Arrays:
    """The weights of a layer with a kernel, with the BatchNorm layer behind it folded in."""
    arrays: Arrays = layer.get_weights()
    shape = {"Conv2DTranspose": (-1, 1), "DepthwiseConv2D": arrays[0].shape[2:]}.get(type(layer).__name__, (-1,))
    return _folded(arrays, norm, shape)


def _folded(arrays: Arrays, norm: KerasLayer | None, shape: tuple[int, ...]) -> Arrays:
    """A kernel and bias, if any, with BatchNorm folded in; `shape` is that of the scales along the kernel's last axes."""
    if norm is None:
        return arrays
    kernel, bias = [*arrays, np.float32(0)][:2]
    scale, offset = _norm_affine(norm)
    return [(kernel * scale.reshape(shape)).astype(np.float32), (offset + bias * scale).astype(np.float32)]


def _norm_affine(norm: KerasLayer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and offset (channels,) of BatchNorm in inference."""
    variables = {variable.name.removesuffix(":0").split("/")[-1]: variable.numpy() for variable in norm.weights}
    arrays = {name: array.astype(np.float64) for name, array in variables.items()}
    scale = arrays.get("gamma", 1.0) / np.sqrt(arrays["moving_variance"] + norm.epsilon)
    return scale, arrays.get("beta", 0.0) - arrays["moving_mean"] * scale


def _affine(layer: KerasLayer, channels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Scale and offset (channels,) of a layer that scales the channels of maps (N, H, W, channels); None for other layers."""
    kind = type(layer).__name__
    if isinstance(layer, keras.layers.BatchNormalization):
        return _norm_affine(layer)
    if kind == "Rescaling":
        scale, offset = (np.asarray(value, np.float64).reshape(-1) for value in (layer.scale, layer.offset))
    elif kind == "Normalization" and not layer.invert:
        mean, variance = (np.asarray(value, np.float64).reshape(-1) for value in (layer.mean, layer.variance))
        scale = 1 / np.maximum(np.sqrt(variance), 1e-7)  # as Keras does
        offset = -mean * scale
    else:
        return None
    if not {scale.size, offset.size} <= {1, channels}:
        return None
    return np.broadcast_to(scale, channels).copy(), np.broadcast_to(offset, channels).copy()
