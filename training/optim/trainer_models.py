"""Keras models that train another one in place: where what is learnt is not one loss of one output."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

from hrnet_tf.backend.choice import TF_KERAS
from hrnet_tf.backend.keras_module import NAME, keras, ops, tf
from mobile_eval.errors import HRNetError
from training.tasks.base import TrainingTask

LossOf = Callable[[Any, Any, Any, Any], Any]


class TrainerModel(keras.Model, abc.ABC):  # type: ignore[misc]
    """Trains `network` in place by `model.fit`; a subclass says what its loss is. Compile it without a loss."""

    def __init__(self, network: Any, name: str = "learner"):
        super().__init__(name=name)
        self.network = network
        self._mean = keras.metrics.Mean(name="loss") if NAME == TF_KERAS else None  # Keras 3 keeps one itself

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.network(inputs, training=training)

    @abc.abstractmethod
    def outputs_loss(self, x: Any, y: Any, found: Any, weight: Any = None) -> Any:
        """The loss, a scalar: of inputs, targets, the network's answers and, where the task has them, weights."""

    def distillation_loss(self, taught: Any, found: Any) -> Any:
        """How far what is `found` in training is from what a teacher answered, a scalar."""
        raise HRNetError(f"{type(self).__name__} cannot learn from a teacher")

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        loss = self.outputs_loss(x, y, y_pred, sample_weight)
        for own in self.losses:
            loss += ops.cast(own, loss.dtype)
        if self._mean is None:
            return loss
        self._mean.update_state(loss)
        return loss / tf.distribute.get_strategy().num_replicas_in_sync  # gradients are summed over devices

    @property
    def metrics(self) -> list[Any]:
        return [*super().metrics] if self._mean is None else [self._mean]


def trainer_model(task: TrainingTask, network: Any, loss: Any) -> Any:
    """The Keras model that `fit` trains: the network itself, or what its task wraps around it."""
    return task.learner(network, loss) if task.learner else network


def loss_function(learner: Any, loss: Any) -> LossOf:
    """The loss of that model as a function of inputs, targets, answers and weights."""
    return learner.outputs_loss if isinstance(learner, TrainerModel) else lambda x, y, found, weight: loss(y, found, weight)


def distillation_loss_function(learner: Any, task: TrainingTask) -> Callable[[Any, Any], Any]:
    """How far that model's answers in training are from a teacher's."""
    return task.distillation_loss or learner.distillation_loss


def compile_trainer(learner: Any, loss: Any, optimizer: Any, *, jit: bool = False) -> None:
    """Make it ready for `fit`."""
    learner.compile(optimizer, None if isinstance(learner, TrainerModel) else loss, jit_compile=jit)
