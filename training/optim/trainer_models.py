"""Keras models that train another model in place, for losses that are not one loss of one output."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import TypeAlias

from hrnet_tf.backend.choice import TF_KERAS
from hrnet_tf.backend.keras_module import NAME, keras, ops, tf
from hrnet_tf.backend.types import KerasLoss, KerasMetric, KerasModel, KerasOptimizer, Tensor
from mobile_eval.errors import HRNetError
from training.tasks.base import AnyTrainingTask

# (inputs, targets, outputs, sample weights or None) -> scalar loss
BatchLoss: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
DistillationLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # (teacher's outputs, outputs) -> scalar loss

TASK_LOSS = "task_loss"  # metric of distillation: the loss on the annotations, without the teacher's share


class TrainerModel(keras.Model, abc.ABC):  # type: ignore[misc]
    """Trains `network` in place by `model.fit`, with a loss that a subclass defines. Compile it without a loss.

    Args:
        network: The Keras model to train.
        name: Name of this model.
    """

    def __init__(self, network: KerasModel, name: str = "trainer"):
        super().__init__(name=name)
        self.network = network
        self._mean_loss = keras.metrics.Mean(name="loss") if NAME == TF_KERAS else None  # Keras 3 has its own

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self.network(inputs, training=training)

    @abc.abstractmethod
    def loss_from_outputs(self, x: Tensor, y: Tensor, outputs: Tensor, sample_weight: Tensor = None) -> Tensor:
        """Return the loss of a batch, a scalar, from inputs, targets, the model's outputs and sample weights, if any."""

    def distillation_loss(self, teacher_outputs: Tensor, outputs: Tensor) -> Tensor:
        """Return the distance of outputs in training from those of a teacher, a scalar."""
        raise HRNetError(f"{type(self).__name__} has no distillation loss: train without `teacher`")

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        loss = self.loss_from_outputs(x, y, y_pred, sample_weight)
        for regularization in self.losses:
            loss += ops.cast(regularization, loss.dtype)
        if self._mean_loss is None:
            return loss
        self._mean_loss.update_state(loss)
        return loss / tf.distribute.get_strategy().num_replicas_in_sync  # gradients are summed over devices

    @property
    def metrics(self) -> list[KerasMetric]:
        return [*super().metrics] if self._mean_loss is None else [self._mean_loss]


class DistillationModel(TrainerModel):
    """Trains a student on the annotations and on the outputs of a larger network, its teacher.

    The loss is (1 - w) l + w d for the task's loss l and the distance d of the student's outputs from the teacher's: for heatmaps
    their mean squared difference (Zhang et al., Fast Human Pose Estimation, arXiv 1811.05419), for classes the divergence from
    the teacher's distribution (Hinton et al., arXiv 1503.02531). Joints without a label are learned from the teacher alone.
    The metric `task_loss` is l alone, which can be compared with the loss of a training without a teacher.

    Args:
        student: The Keras model to train, or a trainer model of it.
        teacher: A Keras model with the same outputs.
        weight: Weight w of the teacher, from 0 to 1.
        task_loss: Loss l of a batch.
        distillation_loss: Distance d.
    """

    def __init__(
        self, student: KerasModel, teacher: KerasModel, weight: float, task_loss: BatchLoss, distillation_loss: DistillationLoss
    ):
        super().__init__(student, name="distillation")
        self.teacher = teacher
        self.teacher.trainable = False
        self.weight = weight
        self.task_loss = task_loss
        self.teacher_distance = distillation_loss
        self._mean_task_loss = keras.metrics.Mean(name=TASK_LOSS)

    @property
    def metrics(self) -> list[KerasMetric]:
        metrics = super().metrics  # those of Keras 3 include the attribute already
        return [*metrics, self._mean_task_loss] if NAME == TF_KERAS else metrics

    def loss_from_outputs(self, x: Tensor, y: Tensor, outputs: Tensor, sample_weight: Tensor = None) -> Tensor:
        distance = self.teacher_distance(self.teacher(x, training=False), outputs)
        task_loss = self.task_loss(x, y, outputs, sample_weight)
        self._mean_task_loss.update_state(task_loss)
        return (1 - self.weight) * task_loss + self.weight * ops.cast(distance, task_loss.dtype)


def trainer_model(task: AnyTrainingTask, network: KerasModel, loss: KerasLoss) -> KerasModel:
    """Return the Keras model that `fit` trains: the network itself, or the trainer model that its task wraps around it."""
    return task.trainer(network, loss) if task.trainer else network


def distillation_model(
    task: AnyTrainingTask, student: KerasModel, loss: KerasLoss, teacher: KerasModel, weight: float
) -> DistillationModel:
    """Return the model that trains a student of a task, or its trainer model, with a teacher.

    Args:
        task: The task.
        student: What `trainer_model` returned.
        loss: The task's loss.
        teacher: A Keras model with the same outputs.
        weight: Weight of the teacher, from 0 to 1.
    """
    distance = task.distillation_loss or student.distillation_loss
    return DistillationModel(student, teacher, weight, batch_loss(student, loss), distance)


def batch_loss(model: KerasModel, loss: KerasLoss) -> BatchLoss:
    """Return the loss of a trainer model, or of a plain one with a Keras loss, as a function of a batch."""
    if isinstance(model, TrainerModel):
        return model.loss_from_outputs
    return lambda x, y, outputs, sample_weight: loss(y, outputs, sample_weight)


def compile_trainer(model: KerasModel, loss: KerasLoss, optimizer: KerasOptimizer, *, jit: bool = False) -> None:
    """Compile a trainer model, or a plain one with the Keras loss, for `fit`."""
    model.compile(optimizer, None if isinstance(model, TrainerModel) else loss, jit_compile=jit)
