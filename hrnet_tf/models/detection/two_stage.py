"""The two networks of a detector, for training, quantization and conversion.

- `maps`: images (N, H, W, 3) to the pyramid's maps "P2" (N, H/4, W/4, C) to "P5", and for each level "P2_objectness"
  (N, H/4, W/4, 3) and "P2_deltas" (N, H/4, W/4, 12) to P6. These are separate outputs, so that values of different ranges do not
  share a quantized tensor.
- `boxes`: the pooled features of proposals (R, 7, 7, C) to "class_logits" (R, classes + 1) and "box_deltas"
  (R, 4 * (classes + 1)).

Non-maximum suppression and RoIAlign run between them. `faster_rcnn.detector_outputs` builds both in one model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hrnet_tf.backend.keras_module import keras, ops, tf
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.detection.proposals import Proposals
from hrnet_tf.models.detection.roi_align import RoIAlign
from hrnet_tf.spec.detection import DetectorSpec, proposal_limits, rounds_up
from mobile_eval.tasks.detection.constants import BOX_HEAD_LEVELS, POOLED_SIZE, PYRAMID_LEVELS

PROPOSALS_LAYER, ALIGN_LAYER = "rpn_proposals", "box_head_align"
BOX_HEAD_LAYERS = ("box_head_dense1", "box_head_dense2", "box_head_logits", "box_head_deltas")
LEVELS = tuple(f"P{step + 2}" for step in range(PYRAMID_LEVELS))
ALIGNED_LEVELS = LEVELS[:BOX_HEAD_LEVELS]


@dataclass(frozen=True)
class DetectorStages:
    """The Keras models of the two stages, see the module."""

    maps: KerasModel
    boxes: KerasModel


def stages_of(network: KerasModel) -> DetectorStages:
    """The stages of a detector that `build_model` or `build_quantized_model` made; they share its layers."""
    stages = getattr(network, "stages", None)
    if isinstance(stages, DetectorStages):
        return stages
    _, *maps = network.get_layer(ALIGN_LAYER).input
    outputs = dict(zip(ALIGNED_LEVELS, maps, strict=True))
    for level in LEVELS:
        outputs[f"{level}_objectness"] = network.get_layer(f"rpn_{level}_logits").input
        outputs[f"{level}_deltas"] = network.get_layer(f"rpn_{level}_deltas").input
    return DetectorStages(keras.Model(network.input, outputs, name="maps"), _box_head_model(network))


def is_detector(network: KerasModel) -> bool:
    """Whether `network` is a detector that `build_model` made."""
    return any(layer.name == PROPOSALS_LAYER for layer in network.layers)


def flatten_rpn_outputs(maps: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Objectness logits (N, A) and deltas (N, A, 4) of all anchors, from the outputs of the stage `maps`."""
    logits = [ops.reshape(maps[f"{level}_objectness"], (ops.shape(maps[f"{level}_objectness"])[0], -1)) for level in LEVELS]
    deltas = [ops.reshape(maps[f"{level}_deltas"], (ops.shape(maps[f"{level}_deltas"])[0], -1, 4)) for level in LEVELS]
    return ops.concatenate(logits, axis=1), ops.concatenate(deltas, axis=1)


class JoinedDetector(keras.Model):  # type: ignore[misc]
    """A detector made of two stages, such as quantized ones, with the outputs of `faster_rcnn.detector_outputs`."""

    def __init__(self, stages: DetectorStages, spec: DetectorSpec):
        super().__init__(name=spec.name)
        self.stages = stages  # a plain object, in which Keras does not track layers
        self.maps = stages.maps
        self.boxes = stages.boxes
        candidates, count = proposal_limits(spec)
        self.select_proposals = Proposals(spec.input_size, count, candidates, rounds_up(spec), name="proposals")
        self.align = RoIAlign(name="align")

    def call(self, inputs: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        maps = self.maps(inputs, training=training)
        selected = self.pool_proposals(maps)
        pooled = selected.pop("pooled")
        shape = tf.shape(pooled)
        outputs = self.boxes(tf.reshape(pooled, (-1, *pooled.shape[2:])), training=training)
        by_image = {name: tf.reshape(values, (shape[0], shape[1], values.shape[-1])) for name, values in outputs.items()}
        rpn_logits, rpn_deltas = flatten_rpn_outputs(maps)
        return {**selected, **by_image, "rpn_logits": rpn_logits, "rpn_deltas": rpn_deltas}

    def pool_proposals(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The "proposals" (N, R, 4) of maps, their "objectness" (N, R), and their features, "pooled" (N, R, 7, 7, C)."""
        boxes, objectness = self.select_proposals(list(flatten_rpn_outputs(maps)))
        pooled = self.align([boxes, *(maps[level] for level in ALIGNED_LEVELS)])
        return {"proposals": boxes, "objectness": objectness, "pooled": pooled}


def _box_head_model(network: KerasModel) -> KerasModel:
    """The box head of a detector as a model of its own, sharing its layers."""
    dense1, dense2, logits, deltas = map(network.get_layer, BOX_HEAD_LAYERS)
    pooled = keras.Input((POOLED_SIZE, POOLED_SIZE, dense1.kernel.shape[0] // POOLED_SIZE**2), name="pooled")
    x = dense2(dense1(keras.layers.Reshape((-1,), name="box_head_flat")(pooled)))
    return keras.Model(pooled, {"class_logits": logits(x), "box_deltas": deltas(x)}, name="box_head")
