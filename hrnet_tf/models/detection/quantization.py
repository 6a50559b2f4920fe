"""Fake quantization of a detector: of each of its stages, which are two files on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.models.detection.joined import JoinedDetector
from hrnet_tf.models.detection.roi_align import RoIAlign
from hrnet_tf.models.detection.stages import ALIGNED_LEVELS, DetectorStages, stages_of
from hrnet_tf.models.inference import Inference
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError

BOXES_OF_AN_IMAGE = 32  # are enough to know ranges by


def quantized_detector(network: Any, spec: Any, quantized: Callable[[Any], Any]) -> JoinedDetector:
    """The detector whose stages are those of the folded `network` as `quantized` makes them."""
    if not isinstance(spec, HRNetSpec):
        raise HRNetError(f"{spec.name} is not a detector")
    stages = stages_of(network)
    maps, boxes = (_with_names(quantized(_copy(stage)), stage) for stage in (stages.maps, stages.boxes))
    return JoinedDetector(DetectorStages(maps, boxes), spec)


def detector_extremes(network: Any) -> Callable[[NDArray[np.float32]], dict[str, Any]]:
    """A function from a batch (N, H, W, 3) to the smallest and largest value of what each layer of both stages gives out."""
    stages, align = stages_of(network), RoIAlign()
    maps_ends, boxes_ends = (Inference(_extremes(_copy(stage)), stage.input_shape[1:]) for stage in (stages.maps, stages.boxes))

    def extremes(batch: NDArray[np.float32]) -> dict[str, Any]:
        maps, proposals = stages.maps(batch, training=False), network(batch, training=False)["proposals"]
        pooled = align([proposals[:, :BOXES_OF_AN_IMAGE], *(maps[level] for level in ALIGNED_LEVELS)])
        return {**maps_ends(batch), **boxes_ends(tf.reshape(pooled, (-1, *pooled.shape[2:])).numpy())}

    return extremes


def _copy(stage: Any) -> Any:
    """The stage by itself, with its outputs in a list: what quantizes functional models does not know outputs by name."""
    listed = keras.Model(stage.input, list(stage.output.values()), name=stage.name)
    copy = keras.models.clone_model(listed)
    copy.set_weights(listed.get_weights())
    return copy


def _with_names(model: Any, stage: Any) -> Any:
    """The model with the outputs' names of the `stage` that it was made of."""
    return keras.Model(model.input, dict(zip(stage.output, model.outputs, strict=True)), name=stage.name)


def _extremes(model: Any) -> Any:
    """A model that gives out the smallest and largest value of each layer's output, all calls of a shared layer together."""
    ends = {}
    for layer in model.layers:
        outputs = [layer.get_output_at(node) for node in range(len(layer.inbound_nodes))]
        lows, highs = ([end(output) for output in outputs] for end in (tf.reduce_min, tf.reduce_max))
        ends[layer.name] = tf.stack([tf.reduce_min(tf.stack(lows)), tf.reduce_max(tf.stack(highs))])
    return keras.Model(model.input, ends)
