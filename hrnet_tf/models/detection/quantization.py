"""Fake quantization of a detector, stage by stage: each becomes a file of its own on the device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.detection.roi_align import RoIAlign
from hrnet_tf.models.detection.two_stage import ALIGNED_LEVELS, DetectorStages, JoinedDetector, stages_of
from hrnet_tf.models.inference import Inference
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError

PROPOSALS_FOR_RANGES = 32  # per image; enough to estimate the ranges of the box head


def quantized_detector(network: KerasModel, spec: Network, quantize: Callable[[KerasModel], KerasModel]) -> JoinedDetector:
    """A detector whose stages are those of the folded `network`, each passed through `quantize`."""
    if not isinstance(spec, HRNetSpec):
        raise HRNetError(f"{spec.name} is not a detector")
    stages = stages_of(network)
    maps, boxes = (_named_outputs(quantize(_copy(stage)), stage) for stage in (stages.maps, stages.boxes))
    return JoinedDetector(DetectorStages(maps, boxes), spec)


def detector_extremes(network: KerasModel) -> Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """A function from images (N, H, W, 3) to the (minimum, maximum) of each layer's output in both stages."""
    stages, align = stages_of(network), RoIAlign()
    run_maps, run_boxes = (
        Inference(_extremes_model(_copy(stage)), stage.input_shape[1:]) for stage in (stages.maps, stages.boxes)
    )

    def extremes(batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        maps, proposals = stages.maps(batch, training=False), network(batch, training=False)["proposals"]
        pooled = align([proposals[:, :PROPOSALS_FOR_RANGES], *(maps[level] for level in ALIGNED_LEVELS)])
        return {**run_maps(batch), **run_boxes(tf.reshape(pooled, (-1, *pooled.shape[2:])).numpy())}

    return extremes


def _copy(stage: KerasModel) -> KerasModel:
    """A copy with its outputs in a list: tensorflow-model-optimization does not support outputs by name."""
    listed = keras.Model(stage.input, list(stage.output.values()), name=stage.name)
    copy = keras.models.clone_model(listed)
    copy.set_weights(listed.get_weights())
    return copy


def _named_outputs(model: KerasModel, stage: KerasModel) -> KerasModel:
    """`model` with the output names of the `stage` that it was made from."""
    return keras.Model(model.input, dict(zip(stage.output, model.outputs, strict=True)), name=stage.name)


def _extremes_model(model: KerasModel) -> KerasModel:
    """A model that returns the minimum and maximum of each layer's output; over all calls, if a layer is shared."""
    extremes: dict[str, Tensor] = {}
    for layer in model.layers:
        outputs = [layer.get_output_at(node) for node in range(len(layer.inbound_nodes))]
        minima, maxima = ([reduce(output) for output in outputs] for reduce in (tf.reduce_min, tf.reduce_max))
        extremes[layer.name] = tf.stack([tf.reduce_min(tf.stack(minima)), tf.reduce_max(tf.stack(maxima))])
    return keras.Model(model.input, extremes)
