"""The quantization-aware network (tensorflow-model-optimization) of a spec.

It is built from the folded network, so that training rounds the very weights that the device holds, and so
that quantizing and converting have half the layers to work through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection.two_stage import is_detector
from hrnet_tf.models.inference import Inference
from hrnet_tf.models.layers import Upsampling
from hrnet_tf.runs.weights import set_model_weights
from hrnet_tf.spec.architectures import Network

Ranges = dict[str, tuple[float, float]]
QUANTIZATION = "quantization-aware training"


def build_quantized_model(spec: Network, folded_weights: Weights | None = None, *, keep_zeros: bool = False) -> Any:
    """The network with fake quantization to int8: per-channel kernels, one range an activation.

    A transposed convolution's kernel has one range, as tensorflow-model-optimization wants it.
    `folded_weights` are those of the folded network. Without them the model waits for `set_model_weights`. With
    `keep_zeros`, kernel weights that are zero stay zero in training.
    """
    check_tf_keras(QUANTIZATION)
    model = build_model(spec, folded=True)
    if folded_weights is not None:
        set_model_weights(model, folded_weights)
    keras.backend.reset_uids()  # the input's layer is named by a counter; weights on disk need one name for it
    if is_detector(model):
        from hrnet_tf.models.detection.quantization import quantized_detector

        return quantized_detector(model, spec, lambda stage: with_fake_quantization(stage, keep_zeros=keep_zeros))
    return with_fake_quantization(model, keep_zeros=keep_zeros)


def with_fake_quantization(model: Any, *, keep_zeros: bool = False) -> Any:
    """A copy of a Keras model, functional and with its outputs in a list if there are several, that rounds as int8 does."""
    import tensorflow_model_optimization as tfmot
    from tensorflow_model_optimization.python.core.quantization.keras.collab_opts.prune_preserve import (
        default_8bit_prune_preserve_quantize_scheme as keeping,
    )
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
        default_8bit_quantize_configs,
        default_8bit_quantize_scheme,
    )

    copies = default_8bit_quantize_configs.NoOpQuantizeConfig()  # upsampling leaves the range of values as it is

    def annotate(layer: Any) -> Any:
        config = copies if isinstance(layer, Upsampling) else None
        return tfmot.quantization.keras.quantize_annotate_layer(layer, quantize_config=config)

    with tfmot.quantization.keras.quantize_scope({"Upsampling": Upsampling, "NoOpQuantizeConfig": type(copies)}):
        annotated = keras.models.clone_model(model, clone_function=annotate)
        annotated.set_weights(model.get_weights())
        plain = default_8bit_quantize_scheme.Default8BitQuantizeScheme
        scheme = keeping.Default8BitPrunePreserveQuantizeScheme() if keep_zeros else plain()
        return tfmot.quantization.keras.quantize_apply(annotated, scheme)


def activation_ranges(model: Any, groups: Iterable[Iterable[NDArray[np.float32]]]) -> Ranges:
    """Smallest and largest value of each layer's output in each of `groups`, averaged over these.

    A group is made of batches (N, H, W, 3), as few images at a time as memory allows; how it is divided makes no difference.
    """
    if is_detector(model):
        from hrnet_tf.models.detection.quantization import detector_extremes

        extremes = detector_extremes(model)
    else:
        ends = {
            layer.name: keras.backend.stack([keras.backend.min(layer.output), keras.backend.max(layer.output)])
            for layer in model.layers
        }
        extremes = Inference(keras.Model(model.input, ends), model.input_shape[1:])
    observed = [_widest([_pairs(extremes(batch)) for batch in group]) for group in groups]
    means = np.mean([list(found.values()) for found in observed], axis=0).tolist()
    return {name: (low, high) for name, (low, high) in zip(observed[0], means, strict=True)}


def _pairs(extremes: Mapping[str, NDArray[np.float32]]) -> Ranges:
    return {name: (float(low), float(high)) for name, (low, high) in extremes.items()}


def _widest(ranges: Sequence[Ranges]) -> Ranges:
    """Ranges that hold those of all batches."""
    return {name: (min(one[name][0] for one in ranges), max(one[name][1] for one in ranges)) for name in ranges[0]}


def initialize_ranges(quantized: Any, activations: Ranges) -> None:
    """Start each quantizer from a measured range: kernels from their values, activations from `activations`.

    tensorflow-model-optimization starts them all at -6..6 and moves those of activations by a thousandth a
    step: a short tuning would end before they arrive, and nothing before the first step is meaningful.
    """
    stages = getattr(quantized, "stages", None)
    if stages is not None:
        for stage in (stages.maps, stages.boxes):
            initialize_ranges(stage, activations)
        return
    for layer in quantized.layers:
        name = quantized.input_names[0] if layer.name.startswith("quantize_layer") else layer.name.removeprefix("quant_")
        variables = {v.name.removesuffix(":0").rsplit("/", 1)[-1]: v for v in layer.weights}
        for end, variable in variables.items():
            if end in ("kernel_min", "kernel_max"):
                by_channel = (0, 1, 2) if variable.shape.rank else None  # None: one range
                largest = np.abs(variables["kernel"].numpy()).max(axis=by_channel)
                variable.assign(largest if end == "kernel_max" else -largest)
            elif end.endswith("_min"):
                variable.assign(min(activations[name][0], 0.0))
            elif end.endswith("_max"):
                variable.assign(max(activations[name][1], 0.0))
