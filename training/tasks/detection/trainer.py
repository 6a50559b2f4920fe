"""The Keras model that trains the two stages of a detector together."""

from __future__ import annotations

from collections.abc import Mapping

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasLoss, KerasModel, KerasOptimizer, Tensor
from hrnet_tf.models.detection.anchors import anchor_boxes
from hrnet_tf.models.detection.proposals import Proposals
from hrnet_tf.models.detection.roi_align import RoIAlign
from hrnet_tf.models.detection.two_stage import ALIGNED_LEVELS, DetectorStages, flatten_rpn_outputs, stages_of
from hrnet_tf.models.trunk import detector_spec_of
from hrnet_tf.spec.detection import rounds_up
from mobile_eval.errors import HRNetError
from training.optim.trainer_models import TrainerModel
from training.tasks.base import divergence
from training.tasks.detection.examples import seeds, unpack
from training.tasks.detection.losses import anchor_loss, box_loss, sample_boxes
from training.tasks.detection.settings import FROZEN, DetectionLoss

PROPOSALS_PER_LEVEL = 2000  # before suppression (mmdetection: rpn_proposal.nms_pre)
DISTILLED_PROPOSALS = 64  # of the teacher, whose classes a student imitates
SPARSE_PREFIX = "prune_low_magnitude"  # of the layers that tensorflow-model-optimization makes sparse
ANCHORS, BOXES = 1, 2  # second part of the seeds, so that the two losses sample independently


class DetectionTrainer(TrainerModel):
    """Trains a detector by the sum of its two losses.

    In training it outputs the feature maps that the losses start from, otherwise what the detector outputs.
    """

    def __init__(self, network: KerasModel, loss: DetectionLoss):
        super().__init__(network, name="detection_trainer")
        if any(layer.name.startswith(SPARSE_PREFIX) for layer in network.layers):
            raise HRNetError("`sparsity` cannot be used with detectors")
        self.settings = loss.settings
        self.stages: DetectorStages = stages_of(network)  # not tracked by Keras here: their layers are the network's
        height, width = self.stages.maps.input_shape[1:3]
        rounded = rounds_up(detector_spec_of(network))
        self.anchors = anchor_boxes((height, width), rounds_up=rounded)
        self.find_proposals = Proposals(
            (height, width), loss.settings.train_proposals, PROPOSALS_PER_LEVEL, rounded, name="train_proposals"
        )
        self.align = RoIAlign(name="train_align")
        self.classes = int(self.stages.boxes.output["class_logits"].shape[-1]) - 1
        has_norm, has_dropout = (
            any(isinstance(layer, kind) for layer in self.stages.maps.layers)
            for kind in (keras.layers.BatchNormalization, keras.layers.Dropout)
        )
        self.is_norm_frozen = has_norm and loss.settings.norm == FROZEN
        if self.is_norm_frozen and has_dropout:
            raise HRNetError("`link_dropout` of a detector needs `norm` updated")

    def compile(self, optimizer: KerasOptimizer, loss: KerasLoss = None, jit_compile: bool = False) -> None:
        if jit_compile:
            raise HRNetError("`jit`: XLA has no non-maximum suppression; train detectors without it")
        super().compile(optimizer, loss, jit_compile=False)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not training:
            return self.network(inputs, training=False)
        return self.stages.maps(inputs, training=not self.is_norm_frozen)

    def loss_from_outputs(self, x: Tensor, y: Tensor, outputs: Tensor, sample_weight: Tensor = None) -> Tensor:
        maps = outputs if ALIGNED_LEVELS[0] in outputs else self.stages.maps(x, training=False)
        maps = {name: tf.cast(value, tf.float32) for name, value in maps.items()}
        targets = tf.cast(y, tf.float32)
        boxes, labels = unpack(targets)
        logits, deltas = flatten_rpn_outputs(maps)
        seed = tf.cast(tf.reduce_sum(seeds(targets)), tf.int32)
        settings = self.settings
        proposal_loss = anchor_loss(logits, deltas, self.anchors, boxes, labels, settings.rpn_samples, tf.stack([seed, ANCHORS]))
        proposals, _ = self.find_proposals([logits, deltas])
        sampled = sample_boxes(proposals, boxes, labels, self.classes, settings.box_samples, tf.stack([seed, BOXES]))
        return proposal_loss + box_loss(*self._box_head(sampled.boxes, maps), sampled)

    def distillation_loss(self, teacher_outputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Distance of the maps in training from the outputs of a teacher, a scalar.

        It is the cross-entropy with the teacher's objectness of the anchors, and the divergence from its classes of its own best
        proposals.
        """
        maps = {name: tf.cast(value, tf.float32) for name, value in outputs.items()}
        objectness = tf.sigmoid(tf.cast(teacher_outputs["rpn_logits"], tf.float32))
        anchors = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(objectness, flatten_rpn_outputs(maps)[0]))
        proposals = tf.stop_gradient(tf.cast(teacher_outputs["proposals"], tf.float32))[:, :DISTILLED_PROPOSALS]
        class_logits, _ = self._box_head(proposals, maps)
        return anchors + divergence(teacher_outputs["class_logits"][:, :DISTILLED_PROPOSALS], class_logits)

    def _box_head(self, boxes: Tensor, maps: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the class logits (N, K, classes + 1) and deltas (N, K, 4 * (classes + 1)) of boxes (N, K, 4)."""
        pooled = self.align([tf.stop_gradient(boxes), *(maps[level] for level in ALIGNED_LEVELS)])
        shape = tf.shape(pooled)
        outputs = self.stages.boxes(tf.reshape(pooled, (-1, *pooled.shape[2:])), training=True)
        names = ("class_logits", "box_deltas")
        logits, deltas = (tf.reshape(tf.cast(outputs[name], tf.float32), (shape[0], shape[1], -1)) for name in names)
        return tf.ensure_shape(logits, (None, None, self.classes + 1)), deltas
