"""The two networks that a detector is made of, with suppression and RoIAlign between them.

- maps: images (N, H, W, 3) to "P2" ... "P5" (N, H/4, W/4, C) ..., and of each level "P2_objectness" (N, H/4, W/4, 3) and
  "P2_deltas" (N, H/4, W/4, 12), apart from each other: values of different ranges do not share a tensor.
- boxes: what a box covers (R, 7, 7, C) to "class_logits" (R, classes + 1) and "box_deltas" (R, 4 * (classes + 1)).

Training, quantization and conversion take these; `detection.detector_outputs` joins them for everyone else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hrnet_tf.backend.keras_module import keras, ops
from hrnet_tf.models.detection.box_head import box_head_model
from hrnet_tf.models.detection.sizes import PYRAMID_LEVELS

PROPOSALS_LAYER = "rpn_proposals"
LEVELS = tuple(f"P{step + 2}" for step in range(PYRAMID_LEVELS))
ALIGNED_LEVELS = LEVELS[:4]  # the box head reads P2 to P5


@dataclass(frozen=True)
class DetectorStages:
    """Two Keras models: `maps` and `boxes`."""

    maps: Any
    boxes: Any


def stages_of(network: Any) -> DetectorStages:
    """The stages of a detector that `build_model` or `build_quantized_model` made, sharing its layers."""
    found = getattr(network, "stages", None)
    if isinstance(found, DetectorStages):
        return found
    outputs = {level: network.get_layer(f"neck_{level}_conv").output for level in ALIGNED_LEVELS}
    for level in LEVELS:
        outputs[f"{level}_objectness"] = network.get_layer(f"rpn_{level}_logits").input
        outputs[f"{level}_deltas"] = network.get_layer(f"rpn_{level}_deltas").input
    return DetectorStages(keras.Model(network.input, outputs, name="maps"), box_head_model(network))


def is_detector(network: Any) -> bool:
    """Whether it is a detector as `build_model` makes it."""
    return any(layer.name == PROPOSALS_LAYER for layer in network.layers)


def flat_answers(maps: Mapping[str, Any]) -> tuple[Any, Any]:
    """Objectness logits (N, A) and deltas (N, A, 4) of all anchors, from what `maps` gives out."""
    logits = [ops.reshape(maps[f"{level}_objectness"], (ops.shape(maps[f"{level}_objectness"])[0], -1)) for level in LEVELS]
    deltas = [ops.reshape(maps[f"{level}_deltas"], (ops.shape(maps[f"{level}_deltas"])[0], -1, 4)) for level in LEVELS]
    return ops.concatenate(logits, axis=1), ops.concatenate(deltas, axis=1)
