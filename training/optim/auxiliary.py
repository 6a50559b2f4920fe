"""Training with outputs that only training needs: intermediate supervision, global predictions, auxiliary heads."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_tf.backend.graph import is_functional
from hrnet_tf.backend.keras_module import keras, ops
from hrnet_tf.backend.types import KerasLoss, KerasModel, Tensor
from hrnet_tf.spec.architectures import Network, auxiliary_outputs
from hrnet_tf.spec.baselines.base import AuxiliaryOutput
from mobile_eval.errors import HRNetError
from training.optim.trainer_models import DistillationLoss, TrainerModel
from training.tasks.base import AnyTrainingTask


class AuxiliaryTrainer(TrainerModel):
    """Trains a network by the loss of its output and, with their weights, the losses of its auxiliary outputs.

    A Gaussian to the power p is a Gaussian whose standard deviation is divided by the square root of p: so the targets of
    auxiliary heatmaps are made of those of the output.

    Args:
        network: A Keras model whose output is a list: the output of the network, then its auxiliary outputs.
        outputs: The auxiliary outputs.
        loss: Loss of the output.
        auxiliary_loss: Loss of an auxiliary output.
        distance: Distance of the output from that of a teacher; None where there is none.
    """

    def __init__(
        self,
        network: KerasModel,
        outputs: Sequence[AuxiliaryOutput],
        loss: KerasLoss,
        auxiliary_loss: KerasLoss,
        distance: DistillationLoss | None = None,
    ):
        super().__init__(network, name="auxiliary_trainer")
        if len(network.outputs) != 1 + len(outputs):
            raise HRNetError(f"`network` {network.name} must have {1 + len(outputs)} outputs, got {len(network.outputs)}")
        self.auxiliary_outputs = tuple(outputs)
        self.loss_of_output = loss
        self.loss_of_auxiliary = auxiliary_loss
        self.distance = distance

    def loss_from_outputs(self, x: Tensor, y: Tensor, outputs: Tensor, sample_weight: Tensor = None) -> Tensor:
        output, *auxiliary = outputs
        loss = self.loss_of_output(y, output, sample_weight)
        for settings, prediction in zip(self.auxiliary_outputs, auxiliary, strict=True):
            target = y if settings.sigma_ratio == 1 else y ** (1 / settings.sigma_ratio**2)
            loss += settings.weight * self.loss_of_auxiliary(target, prediction, sample_weight)
        return ops.cast(loss, "float32")

    def distillation_loss(self, teacher_outputs: Tensor, outputs: Tensor) -> Tensor:
        """Distance of the output from that of a teacher, a scalar."""
        if self.distance is None:
            return super().distillation_loss(teacher_outputs, outputs)
        return self.distance(teacher_outputs, outputs[0])


def has_auxiliary(model: KerasModel) -> bool:
    """Return whether a model of the package has outputs that only training needs: then its output is a list."""
    return is_functional(model) and isinstance(model.output, list)  # a quantized detector is not


def without_auxiliary(model: KerasModel) -> KerasModel:
    """Return a model that shares the layers of `model` and has only the output of the network."""
    return keras.Model(model.input, model.output[0], name=model.name) if has_auxiliary(model) else model


def auxiliary_trainer(task: AnyTrainingTask, network: KerasModel, spec: Network, loss: KerasLoss) -> AuxiliaryTrainer:
    """Return the Keras model that trains a network with auxiliary outputs.

    Args:
        task: The task.
        network: The Keras model.
        spec: Its spec.
        loss: Loss of the output.
    """
    outputs = auxiliary_outputs(spec)
    auxiliary_loss = task.auxiliary_loss() if task.auxiliary_loss else loss
    return AuxiliaryTrainer(network, outputs, loss, auxiliary_loss, task.distillation_loss)
