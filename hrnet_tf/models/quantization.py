"""Quantization-aware networks, by tensorflow-model-optimization.

They are built from the folded network, so that training rounds the weights that the device holds. It also has half the layers to
quantize and convert.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.backend.graph import all_layers, output_tensors, pack_outputs
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Images, KerasLayer, KerasModel, QuantizeConfig, Variable, Weights
from hrnet_tf.models.baselines.attention import PixelAttention, RegionMeans
from hrnet_tf.models.baselines.resampling import AdaptiveMean, Resize, Scaling
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection.two_stage import DetectorStages, JoinedDetector, is_detector
from hrnet_tf.models.functional import HRNetModel
from hrnet_tf.models.inference import layer_extremes
from hrnet_tf.models.layers import StemPadding, Upsampling, dilate_directly
from hrnet_tf.models.rebuild import dtype_policy
from hrnet_tf.models.trunk import detector_spec_of
from hrnet_tf.runs.weights import set_model_weights
from hrnet_tf.spec.architectures import Network
from mobile_eval.errors import HRNetError

Ranges = dict[str, tuple[float, float]]  # (minimum, maximum) by layer
QUANTIZATION = "quantization-aware training"
ATTENTION = (RegionMeans.__name__, PixelAttention.__name__)
# Layers that do not change the range of values, and others whose outputs int8 kernels compute
SAME_RANGE = ("StemPadding", "Upsampling", "Resize", "UpSampling2D", "InputLayer")
ROUNDED = ("Multiply", "Subtract", "Maximum", "Minimum", "PReLU", "Resizing", "Scaling")
ACTIVATIONS = ("linear", "relu", "relu6", "swish", "gelu", "sigmoid", "tanh", "softmax")
OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "Lambda")  # what Keras makes of operations on tensors


def build_quantized_model(spec: Network, folded_weights: Weights | None = None, *, keep_zeros: bool = False) -> KerasModel:
    """Build a network with fake quantization to int8: one range per output channel for kernels, and one per activation.

    A transposed convolution's kernel has one range, as tensorflow-model-optimization requires.

    Args:
        spec: The network.
        folded_weights: Weights of the folded network; None leaves them to a later `set_model_weights`.
        keep_zeros: Whether kernel weights that are zero stay zero in training.
    """
    check_tf_keras(QUANTIZATION)
    model = build_model(spec, folded=True)
    if folded_weights is not None:
        set_model_weights(model, folded_weights)
    keras.backend.reset_uids()  # the input layer is named by a counter; weights on disk need one name for it
    return fake_quantized(model, keep_zeros=keep_zeros)


def fake_quantized(folded: KerasModel, *, keep_zeros: bool = False) -> KerasModel:
    """Return a copy of a folded model that rounds as int8 does; of a detector, its two stages.

    Args:
        folded: A model of `rebuild(model, folded=True)` or `build_model(spec, folded=True)`.
        keep_zeros: Whether kernel weights that are zero stay zero in training.

    Raises:
        HRNetError: A layer cannot be quantized.
    """
    if is_detector(folded):
        from hrnet_tf.models.detection.quantization import quantized_detector

        return quantized_detector(
            folded, detector_spec_of(folded), functools.partial(with_fake_quantization, keep_zeros=keep_zeros)
        )
    return with_fake_quantization(folded, keep_zeros=keep_zeros)


def with_fake_quantization(model: KerasModel, *, keep_zeros: bool = False) -> KerasModel:
    """Return a copy of a functional model, with outputs of the same structure, that rounds as int8 does.

    Raises:
        HRNetError: A layer cannot be quantized.
    """
    import tensorflow_model_optimization as tfmot
    from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.prune_preserve import (
        default_8bit_prune_preserve_quantize_scheme as prune_preserve,
    )
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import default_8bit_quantize_scheme

    default = default_8bit_quantize_scheme.Default8BitQuantizeScheme
    scheme = prune_preserve.Default8BitPrunePreserveQuantizeScheme() if keep_zeros else default()
    check_quantizable(model)
    outputs = output_tensors(model)
    listed = keras.Model(model.input, outputs, name=model.name)  # the library does not support outputs by name

    def annotate(layer: KerasLayer) -> KerasLayer:
        config = _quantize_configs().get(type(layer).__name__)
        return tfmot.quantization.keras.quantize_annotate_layer(layer, quantize_config=config)

    with tfmot.quantization.keras.quantize_scope(_custom_objects()), dtype_policy("float32"):
        annotated = keras.models.clone_model(listed, clone_function=annotate)
        annotated.set_weights(listed.get_weights())
        quantized = tfmot.quantization.keras.quantize_apply(annotated, scheme)
    for layer in (getattr(wrapper, "layer", wrapper) for wrapper in quantized.layers):
        if type(layer).__name__ == "Conv2D" and max(layer.dilation_rate) > 1:
            dilate_directly(layer)
    return _with_outputs_of(model, quantized)


def without_fake_quantization(model: KerasModel) -> KerasModel:
    """Return the folded float model with the weights of a quantization-aware one.

    Args:
        model: A model of `fake_quantized`, or any functional model with fake quantization of tensorflow-model-optimization.
    """
    import tensorflow_model_optimization as tfmot

    if isinstance(model, JoinedDetector):
        stages = DetectorStages(without_fake_quantization(model.maps), without_fake_quantization(model.boxes))
        return JoinedDetector(stages, detector_spec_of(model))
    copies: list[tuple[KerasLayer, KerasLayer]] = []

    def copy(layer: KerasLayer) -> KerasLayer:
        if type(layer).__name__ == "QuantizeLayer":
            return keras.layers.Activation("linear", name=layer.name)
        inner: KerasLayer = getattr(layer, "layer", layer)
        config = inner.get_config()
        if type(inner).__name__ in ("Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "Dense"):
            function = getattr(inner.activation, "activation", inner.activation)  # inside of the library's own
            config["activation"] = function if hasattr(function, "__name__") else "linear"
        copies.append((layer, type(inner).from_config(config)))
        return copies[-1][1]

    listed = keras.Model(model.input, output_tensors(model), name=model.name)
    with tfmot.quantization.keras.quantize_scope(_custom_objects()), dtype_policy("float32"):
        float_model = keras.models.clone_model(listed, clone_function=copy)
    for quantized, plain in copies:
        weights = {_last_name(variable): variable for variable in quantized.weights}
        plain.set_weights([weights[_last_name(variable)].numpy() for variable in plain.weights])
    return _with_outputs_of(model, float_model)


def _with_outputs_of(model: KerasModel, listed: KerasModel) -> KerasModel:
    """A model with a list of outputs, as a model with the class, name and structure of outputs of another."""
    kind = HRNetModel if isinstance(model, HRNetModel) else keras.Model
    return kind(listed.input, pack_outputs(model, output_tensors(listed)), name=model.name)


def check_quantizable(folded: KerasModel) -> None:
    """Raise HRNetError, which names it, if quantization-aware training is not possible with a layer of a folded model."""
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import default_8bit_quantize_registry

    registry = default_8bit_quantize_registry.Default8BitQuantizeRegistry()
    for layer in () if is_detector(folded) else all_layers(folded):
        kind = type(layer).__name__
        known = kind in (*SAME_RANGE, *ROUNDED) or registry.supports(layer)
        if kind == "Activation":
            name = getattr(layer.activation, "__name__", str(layer.activation))
            kind, known = f"{kind} {name}", name in ACTIVATIONS
        if not known:
            raise HRNetError(f"`model`: the layer {layer.name} ({kind}) cannot be quantized: {_instead_of(kind)}")


def check_fits_8_bits(folded: KerasModel) -> None:
    """Raise HRNetError, which names it, if a layer of a folded model computes nothing useful with 8 bits."""
    for layer in all_layers(folded):
        if (kind := type(layer).__name__) in ATTENTION:
            raise HRNetError(f"`model`: the layer {layer.name} ({kind}) cannot be quantized: {_instead_of(kind)}")


def _instead_of(kind: str) -> str:
    """What to do about a layer that cannot be quantized."""
    if kind == "AdaptiveMean":
        return "choose an `input_size` whose maps at its place are a multiple of its windows, so that it is average pooling"
    if kind in ATTENTION:
        return "the weights of a region's pixels need more than 8 bits; convert to float32, float16 or dynamic"
    instead = "a Keras layer, such as Add" if kind in OPERATIONS else "others, such as Conv2D, Dense, Add, Multiply, ReLU"
    return f"replace it by {instead}, or compute it behind the exported model"


def _quantize_configs() -> dict[str, QuantizeConfig]:
    """The configs of layers that tensorflow-model-optimization does not know, by the names of their classes."""
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import default_8bit_quantize_configs

    same, rounded = (
        default_8bit_quantize_configs.NoOpQuantizeConfig,
        default_8bit_quantize_configs.Default8BitOutputQuantizeConfig,
    )
    return {name: same() for name in SAME_RANGE} | {name: rounded() for name in ROUNDED}


def _custom_objects() -> dict[str, type]:
    configs = {type(config).__name__: type(config) for config in _quantize_configs().values()}
    layers = {layer.__name__: layer for layer in (AdaptiveMean, Resize, Scaling, StemPadding, Upsampling)}
    return {**layers, **configs}


def activation_ranges(model: KerasModel, groups: Iterable[Iterable[Images]]) -> Ranges:
    """Measure the range of each layer's output.

    Args:
        model: A folded network.
        groups: Groups of batches (N, H, W, 3). How a group is divided into batches does not matter.

    Returns:
        By layer, the minimum and maximum of each group, averaged over the groups.
    """
    extremes = _extremes(model)
    measured = [_union([_as_ranges(extremes(batch)) for batch in group]) for group in groups]
    means = np.mean([list(ranges.values()) for ranges in measured], axis=0).tolist()
    return {name: (low, high) for name, (low, high) in zip(measured[0], means, strict=True)}


def _extremes(model: KerasModel) -> Callable[[Images], Mapping[str, NDArray[np.float32]]]:
    """A function from a batch to the (minimum, maximum) of each layer's output."""
    if is_detector(model):
        from hrnet_tf.models.detection.quantization import detector_extremes

        return detector_extremes(model)
    return layer_extremes(model)


def _as_ranges(extremes: Mapping[str, NDArray[np.float32]]) -> Ranges:
    return {name: (float(low), float(high)) for name, (low, high) in extremes.items()}


def _union(batches: Sequence[Ranges]) -> Ranges:
    """The smallest ranges that contain those of all batches."""
    return {name: (min(ranges[name][0] for ranges in batches), max(ranges[name][1] for ranges in batches)) for name in batches[0]}


def initialize_ranges(quantized: KerasModel, activations: Ranges) -> None:
    """Set the initial range of each quantizer: of kernels from their values, of activations from measured ones.

    tensorflow-model-optimization starts all ranges at -6..6 and moves those of activations by a thousandth per step, too slowly
    for a short fine-tuning.

    Args:
        quantized: A model of `fake_quantized`.
        activations: Ranges from `activation_ranges` of the folded network.
    """
    stages = getattr(quantized, "stages", None)
    if stages is not None:
        for stage in (stages.maps, stages.boxes):
            initialize_ranges(stage, activations)
        return
    for layer in quantized.layers:
        name = quantized.input_names[0] if layer.name.startswith("quantize_layer") else layer.name.removeprefix("quant_")
        _initialize_layer(layer, activations.get(name))


def _initialize_layer(layer: KerasLayer, activation: tuple[float, float] | None) -> None:
    """Set the ranges of a layer; `activation` is that of its output."""
    variables = {_last_name(variable): variable for variable in layer.weights}
    for name, variable in variables.items():
        kernel = name.removesuffix("_min").removesuffix("_max")
        if kernel.endswith("kernel") and kernel != name:
            axes = (0, 1, 2) if variable.shape.rank else None  # None: one range for the kernel
            largest = np.abs(variables[kernel].numpy()).max(axis=axes)
            variable.assign(largest if name.endswith("_max") else -largest)
        elif name.endswith(("_min", "_max")):
            if activation is None:
                raise KeyError(f"no measured range for the layer {layer.name}")
            low, high = activation
            variable.assign(min(low, 0.0) if name.endswith("_min") else max(high, 0.0))


def _last_name(variable: Variable) -> str:
    return str(variable.name).removesuffix(":0").rsplit("/", 1)[-1]
