"""Keras models that train another model in place, for losses that are not one loss of one output."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, TypeAlias

from hrnet_tf.backend.choice import TF_KERAS
from hrnet_tf.backend.graph import flat
from hrnet_tf.backend.keras_module import BACKEND, NAME, keras, ops, tf
from hrnet_tf.backend.types import KerasLoss, KerasMetric, KerasModel, KerasOptimizer, Tensor, Variable
from mobile_eval.errors import HRNetError
from training.tasks.base import AnyTrainingTask

# (inputs, targets, outputs, sample weights or None) -> scalar loss
BatchLoss: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
DistillationLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # (teacher's outputs, outputs) -> scalar loss

DISTILLATION_LOSS = "distillation_loss"  # metric of distillation: the distance from the teacher


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
        if self._mean_loss is not None:
            self._mean_loss.update_state(loss)
        return loss / _devices()

    @property
    def metrics(self) -> list[KerasMetric]:
        return [*super().metrics] if self._mean_loss is None else [self._mean_loss]


class DistillationModel(keras.Model):  # type: ignore[misc]
    """Trains a student on the targets and on the outputs of a teacher, with the optimizer, loss and metrics of the student.

    The minimized loss is (1 - w) l + w d for the student's loss l and the distance d of its outputs from the teacher's: for
    heatmaps their mean squared difference (Zhang et al., Fast Human Pose Estimation, arXiv 1811.05419), for classes the
    divergence from the teacher's distribution (Hinton et al., arXiv 1503.02531). Joints without a label are learned from the
    teacher alone.

    The logs of `fit` have l as "loss" and d as "distillation_loss", and all metrics of the student. `save` and `save_weights`
    write the student, so that `ModelCheckpoint` works. The teacher is not changed.

    Args:
        student: The Keras model to train, or a trainer model of it. Compiled with a loss, or compiled later by `compile`.
        teacher: A Keras model with the same inputs and outputs.
        weight: Weight w of the teacher, from 0 to 1.
        distance: Distance d.
    """

    def __init__(self, student: KerasModel, teacher: KerasModel, weight: float, distance: DistillationLoss):
        super().__init__(name="distillation")
        self.network = student
        self.weight = weight
        self.distance = distance
        self._teacher = lambda: teacher  # not tracked by Keras: its weights are neither trained nor saved
        self._mean_distance = keras.metrics.Mean(name=DISTILLATION_LOSS)
        self.built = student.built
        if is_compiled(student):
            self._compile_like_student()

    def compile(self, optimizer: KerasOptimizer = "rmsprop", *args: Any, **kwargs: Any) -> None:
        """Compile the student, with the arguments of its own `compile`."""
        self.network.compile(optimizer, *args, **kwargs)
        self._compile_like_student()

    def _compile_like_student(self) -> None:
        student = self.network
        super().compile(student.optimizer, run_eagerly=student.run_eagerly, jit_compile=student.jit_compile)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self.network(inputs, training=training)

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        loss = self.network.compute_loss(x, y, y_pred, sample_weight)
        items = ops.shape(flat(x)[0])[0]
        distance = ops.cast(self.distance(self._teacher()(x, training=False), y_pred), loss.dtype)
        self._mean_distance.update_state(distance, sample_weight=items)
        if NAME != TF_KERAS:  # there, a model's loss is tracked by its own `fit` only
            self._student_loss.update_state(loss * _devices(), sample_weight=items)
        for regularization in self.network.losses:  # not the teacher's concern
            distance += ops.cast(regularization, loss.dtype)
        return (1 - self.weight) * loss + self.weight * distance / _devices()

    def compute_metrics(self, x: Tensor, y: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> dict[str, Tensor]:
        self.network.compute_metrics(x, y, y_pred, sample_weight)
        results: dict[str, Tensor] = self.get_metrics_result()
        return results

    @property
    def metrics(self) -> list[KerasMetric]:
        return [*self.network.metrics, self._mean_distance]

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Keras 3 calls this in `fit`, before the first step; JAX needs all metrics by then."""
        self.network._symbolic_build(iterator, data_batch)
        super()._symbolic_build(iterator, data_batch)

    @property
    def non_trainable_variables(self) -> list[Variable]:
        return [*super().non_trainable_variables, *self._teacher().variables]  # JAX passes them to each step

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the student."""
        self.network.save(*args, **kwargs)

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """Save the weights of the student."""
        self.network.save_weights(*args, **kwargs)

    @property
    def _student_loss(self) -> KerasMetric:
        return next(metric for metric in self.network.metrics if metric.name == "loss")


def is_compiled(model: KerasModel) -> bool:
    """Return whether a model has an optimizer."""
    return getattr(model, "optimizer", None) is not None


def _devices() -> int:
    """The number of devices, over which gradients are summed: each divides its loss by it, as the losses of Keras do."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync) if BACKEND == "tensorflow" else 1


def trainer_model(task: AnyTrainingTask, network: KerasModel, loss: KerasLoss) -> KerasModel:
    """Return the Keras model that `fit` trains: the network itself, or the trainer model that its task wraps around it."""
    return task.trainer(network, loss) if task.trainer else network


def distillation_model(task: AnyTrainingTask, student: KerasModel, teacher: KerasModel, weight: float) -> DistillationModel:
    """Return the model that trains a student of a task with a teacher.

    Args:
        task: The task.
        student: A trainer model, or a plain one; compiled.
        teacher: A Keras model with the same outputs.
        weight: Weight of the teacher, from 0 to 1.
    """
    distance = None if isinstance(student, TrainerModel) else task.distillation_loss
    return DistillationModel(student, teacher, weight, distance or student.distillation_loss)


def batch_loss(model: KerasModel, loss: KerasLoss) -> BatchLoss:
    """Return the loss of a trainer model, or of a plain one with a Keras loss, as a function of a batch."""
    if isinstance(model, TrainerModel):
        return model.loss_from_outputs
    return lambda x, y, outputs, sample_weight: loss(y, outputs, sample_weight)


def compile_trainer(model: KerasModel, loss: KerasLoss, optimizer: KerasOptimizer, *, jit: bool = False) -> None:
    """Compile a trainer model, or a plain one with the Keras loss, for `fit`."""
    model.compile(optimizer, None if isinstance(model, TrainerModel) else loss, jit_compile=jit)
