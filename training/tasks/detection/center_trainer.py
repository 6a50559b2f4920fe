"""The Keras model that trains a detector by centers."""

from __future__ import annotations

from collections.abc import Mapping

from hrnet_tf.backend.keras_module import ops
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.trunk import spec_of
from mobile_eval.tasks.detection.constants import CENTER_STRIDE
from training.optim.trainer_models import TrainerModel
from training.tasks.detection.center_losses import center_loss, center_targets, distance_from_teacher
from training.tasks.detection.examples import unpack
from training.tasks.detection.settings import FROZEN, DetectionSettings


class CenterTrainer(TrainerModel):
    """Trains a detector by centers with the losses of its three outputs.

    Args:
        network: The detector.
        settings: Settings of the task.
    """

    def __init__(self, network: KerasModel, settings: DetectionSettings):
        super().__init__(network, name="center_trainer")
        self.settings = settings
        self.is_norm_frozen = settings.norm == FROZEN
        spec = spec_of(network)
        height, width = spec.input_size
        self.map_size, self.classes = (height // CENTER_STRIDE, width // CENTER_STRIDE), spec.classes

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self.network(inputs, training=training and not self.is_norm_frozen)

    def loss_from_outputs(self, x: Tensor, y: Tensor, outputs: Tensor, sample_weight: Tensor = None) -> Tensor:
        boxes, labels = unpack(ops.cast(y, "float32"))
        targets = center_targets(boxes, labels, self.map_size, self.classes, CENTER_STRIDE)
        return center_loss(outputs, targets, self.settings.size_weight)

    def distillation_loss(self, teacher_outputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Return the distance of outputs in training from those of a teacher, a scalar; see `distance_from_teacher`."""
        return distance_from_teacher(teacher_outputs, outputs, self.settings.size_weight)
