"""Quantization-aware networks, by tensorflow-model-optimization.

They are built from the folded network, so that training rounds the weights that the device holds. It also has half the layers to
quantize and convert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Images, KerasLayer, KerasModel, Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection.two_stage import is_detector
from hrnet_tf.models.inference import Inference
from hrnet_tf.models.layers import StemPadding, Upsampling
from hrnet_tf.runs.weights import set_model_weights
from hrnet_tf.spec.architectures import Network

Ranges = dict[str, tuple[float, float]]  # (minimum, maximum) by layer
QUANTIZATION = "quantization-aware training"


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
    if is_detector(model):
        from hrnet_tf.models.detection.quantization import quantized_detector

        return quantized_detector(model, spec, lambda stage: with_fake_quantization(stage, keep_zeros=keep_zeros))
    return with_fake_quantization(model, keep_zeros=keep_zeros)


def with_fake_quantization(model: KerasModel, *, keep_zeros: bool = False) -> KerasModel:
    """Return a copy of a functional model that rounds as int8 does. Several outputs must be a list."""
    import tensorflow_model_optimization as tfmot
    from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.prune_preserve import (
        default_8bit_prune_preserve_quantize_scheme as prune_preserve,
    )
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_configs,
        default_8bit_quantize_scheme,
    )

    no_op = default_8bit_quantize_configs.NoOpQuantizeConfig()  # for layers that do not change the range of values

    def annotate(layer: KerasLayer) -> KerasLayer:
        config = no_op if isinstance(layer, Upsampling | StemPadding) else None
        return tfmot.quantization.keras.quantize_annotate_layer(layer, quantize_config=config)

    custom = {"Upsampling": Upsampling, "StemPadding": StemPadding, "NoOpQuantizeConfig": type(no_op)}
    with tfmot.quantization.keras.quantize_scope(custom):
        annotated = keras.models.clone_model(model, clone_function=annotate)
        annotated.set_weights(model.get_weights())
        default = default_8bit_quantize_scheme.Default8BitQuantizeScheme
        scheme = prune_preserve.Default8BitPrunePreserveQuantizeScheme() if keep_zeros else default()
        return tfmot.quantization.keras.quantize_apply(annotated, scheme)


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
    extremes = {
        layer.name: keras.backend.stack([keras.backend.min(layer.output), keras.backend.max(layer.output)])
        for layer in model.layers
    }
    return Inference(keras.Model(model.input, extremes), model.input_shape[1:])


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
        quantized: A network of `build_quantized_model`.
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
    variables = {variable.name.removesuffix(":0").rsplit("/", 1)[-1]: variable for variable in layer.weights}
    for name, variable in variables.items():
        if name in ("kernel_min", "kernel_max"):
            axes = (0, 1, 2) if variable.shape.rank else None  # None: one range for the kernel
            largest = np.abs(variables["kernel"].numpy()).max(axis=axes)
            variable.assign(largest if name == "kernel_max" else -largest)
        elif name.endswith(("_min", "_max")):
            if activation is None:
                raise KeyError(f"no measured range for the layer {layer.name}")
            low, high = activation
            variable.assign(min(low, 0.0) if name.endswith("_min") else max(high, 0.0))
