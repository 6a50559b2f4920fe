"""Trains a detector's two stages together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.models.detection.anchors import anchor_boxes
from hrnet_tf.models.detection.proposals import Proposals
from hrnet_tf.models.detection.roi_align import RoIAlign
from hrnet_tf.models.detection.two_stage import ALIGNED_LEVELS, DetectorStages, flatten_rpn_outputs, stages_of
from mobile_eval.errors import HRNetError
from training.optim.trainer_models import Learner
from training.tasks.base import divergence
from training.tasks.detection.losses import DetectionLoss, anchor_loss, box_loss, sample_boxes
from training.tasks.detection.settings import FROZEN
from training.tasks.detection.targets import seeds, unpack

CANDIDATES = 2000  # of each level, before suppression (mmdetection: rpn_proposal.nms_pre)
TAUGHT = 64  # proposals of a teacher whose classes a student imitates
SPARSE = "prune_low_magnitude"  # how tensorflow-model-optimization calls layers that become sparse
NORM, DROPOUT = keras.layers.BatchNormalization, keras.layers.Dropout
ANCHORS, BOXES = 1, 2  # set what the two losses draw apart


class DetectionLearner(Learner):
    """In training it answers with the maps that the losses start from, else as the detector does."""

    def __init__(self, network: Any, loss: DetectionLoss):
        super().__init__(network, name="detection_learner")
        if any(layer.name.startswith(SPARSE) for layer in network.layers):
            raise HRNetError("`sparsity` is not for detectors")
        self.settings = loss.settings
        self.stages: DetectorStages = stages_of(network)  # Keras does not see them here: their layers are the network's
        height, width = self.stages.maps.input_shape[1:3]
        self.anchors = anchor_boxes((height, width))
        self.find = Proposals((height, width), loss.settings.train_proposals, CANDIDATES, name="train_proposals")
        self.align = RoIAlign(name="train_align")
        self.classes = int(self.stages.boxes.output["class_logits"].shape[-1]) - 1
        kinds = {kind: any(isinstance(layer, kind) for layer in self.stages.maps.layers) for kind in (NORM, DROPOUT)}
        self.frozen = kinds[NORM] and loss.settings.norm == FROZEN
        if self.frozen and kinds[DROPOUT]:
            raise HRNetError("`link_dropout` of a detector goes with `norm` updated")

    def compile(self, optimizer: Any, loss: Any = None, jit_compile: bool = False) -> None:
        if jit_compile:
            raise HRNetError("`jit`: XLA has no non-maximum suppression; train detectors without it")
        super().compile(optimizer, loss, jit_compile=False)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training:
            return self.network(inputs, training=False)
        return self.stages.maps(inputs, training=not self.frozen)

    def loss_of(self, x: Any, y: Any, found: Any, weight: Any = None) -> Any:
        maps = found if ALIGNED_LEVELS[0] in found else self.stages.maps(x, training=False)
        maps = {name: tf.cast(value, tf.float32) for name, value in maps.items()}
        targets = tf.cast(y, tf.float32)
        boxes, labels = unpack(targets)
        logits, deltas = flatten_rpn_outputs(maps)
        number = tf.cast(tf.reduce_sum(seeds(targets)), tf.int32)
        settings = self.settings
        first = anchor_loss(logits, deltas, self.anchors, boxes, labels, settings.anchors, tf.stack([number, ANCHORS]))
        proposals, _ = self.find([logits, deltas])
        sampled = sample_boxes(proposals, boxes, labels, self.classes, settings.boxes, tf.stack([number, BOXES]))
        return first + box_loss(*self._answers(sampled.boxes, maps), sampled)

    def imitation_of(self, taught: Mapping[str, Any], found: Mapping[str, Any]) -> Any:
        """How far the maps that are `found` are from what a teacher's whole network answered: its objectness of anchors, and its
        classes of its own best proposals.
        """
        maps = {name: tf.cast(value, tf.float32) for name, value in found.items()}
        wanted = tf.sigmoid(tf.cast(taught["rpn_logits"], tf.float32))
        anchors = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(wanted, flatten_rpn_outputs(maps)[0]))
        proposals = tf.stop_gradient(tf.cast(taught["proposals"], tf.float32))[:, :TAUGHT]
        class_logits, _ = self._answers(proposals, maps)
        return anchors + divergence(taught["class_logits"][:, :TAUGHT], class_logits)

    def _answers(self, boxes: Any, maps: Mapping[str, Any]) -> tuple[Any, Any]:
        """Class logits (N, K, ...) and deltas (N, K, ...) of boxes (N, K, 4)."""
        pooled = self.align([tf.stop_gradient(boxes), *(maps[level] for level in ALIGNED_LEVELS)])
        shape = tf.shape(pooled)
        answers = self.stages.boxes(tf.reshape(pooled, (-1, *pooled.shape[2:])), training=True)
        names = ("class_logits", "box_deltas")
        logits, deltas = (tf.reshape(tf.cast(answers[name], tf.float32), (shape[0], shape[1], -1)) for name in names)
        return tf.ensure_shape(logits, (None, None, self.classes + 1)), deltas
