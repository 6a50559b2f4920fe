"""Two stages joined to a detector: what `detection.detector_outputs` answers, of stages that were changed apart."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.models.detection.proposals import Proposals
from hrnet_tf.models.detection.roi_align import RoIAlign
from hrnet_tf.models.detection.sizes import proposal_limits
from hrnet_tf.models.detection.stages import ALIGNED_LEVELS, DetectorStages, flat_answers
from hrnet_tf.spec.network import HRNetSpec


class JoinedDetector(keras.Model):  # type: ignore[misc]
    """Answers as a whole detector does; `stages` are its two networks."""

    def __init__(self, stages: DetectorStages, spec: HRNetSpec):
        super().__init__(name=spec.name)
        self.stages = stages  # which Keras does not look into
        self.maps = stages.maps
        self.boxes = stages.boxes
        candidates, count = proposal_limits(spec)
        self.find = Proposals(spec.input_size, count, candidates, name="proposals")
        self.align = RoIAlign(name="align")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        maps = self.maps(inputs, training=training)
        found = self.pooled(maps)
        shape = tf.shape(found["pooled"])
        answers = self.boxes(tf.reshape(found["pooled"], (-1, *found["pooled"].shape[2:])), training=training)
        by_image = {name: tf.reshape(values, (shape[0], shape[1], values.shape[-1])) for name, values in answers.items()}
        return {"proposals": found["proposals"], "objectness": found["objectness"], **by_image, **rpn_answers(maps)}

    def pooled(self, maps: Any) -> dict[str, Any]:
        """The "proposals" (N, R, 4) of maps, their "objectness" (N, R), and what they cover, "pooled" (N, R, 7, 7, C)."""
        answers = rpn_answers(maps)
        boxes, objectness = self.find([answers["rpn_logits"], answers["rpn_deltas"]])
        pooled = self.align([boxes, *(maps[level] for level in ALIGNED_LEVELS)])
        return {"proposals": boxes, "objectness": objectness, "pooled": pooled}


def rpn_answers(maps: Any) -> dict[str, Any]:
    """Objectness and deltas of all anchors by the names that a detector gives them."""
    return dict(zip(("rpn_logits", "rpn_deltas"), flat_answers(maps), strict=True))
