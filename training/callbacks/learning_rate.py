"""The learning rate in the history of a run and in TensorBoard."""

from __future__ import annotations

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasOptimizer
from training.optim.optimizers import inner_optimizer

LEARNING_RATE = "learning_rate"


class LearningRateLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds `learning_rate`, as it is at the end of the epoch, to the logs.

    Args:
        optimizer: The optimizer that trains.
    """

    def __init__(self, optimizer: KerasOptimizer):
        super().__init__()
        self.optimizer = inner_optimizer(optimizer)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs is not None:
            rate = self.optimizer.learning_rate
            logs[LEARNING_RATE] = float(rate.numpy() if hasattr(rate, "numpy") else rate)  # JAX arrays are numbers themselves
