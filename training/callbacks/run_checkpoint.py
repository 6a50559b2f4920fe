"""What is saved after each epoch: weights, history and checkpoint of the run, and the image cache."""

from __future__ import annotations

import logging

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.runs.history import Rows, write_history
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import model_weights, save_weights
from mobile_eval.metrics.metric import Metric
from training.config import LAST
from training.data.examples import Examples
from training.engine.checkpoint import Checkpoint
from training.optim.optimizers import AveragedWeights

logger = logging.getLogger(__name__)


def best_epoch(rows: Rows, metric: Metric) -> int:
    """Return the first epoch (from 1) with the best value of the metric."""
    best = max if metric.higher_is_better else min
    return int(best(rows, key=lambda row: row[metric.column])["epoch"])


def out_of_patience(rows: Rows, patience: int, metric: Metric) -> bool:
    """Whether none of the last `patience` epochs improved on those before; never for a patience of 0."""
    return bool(patience and rows) and len(rows) - best_epoch(rows, metric) >= patience


class RunCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves weights, a row of history and a checkpoint after each epoch, and stops the training when patience ends.

    Args:
        run: The run.
        network: The Keras model whose weights are saved.
        checkpoint: The checkpoint.
        rows: History of the completed epochs.
        averaged: Puts moving averages in the place of the weights before they are saved; they are restored before the checkpoint.
        metric: Metric of the task.
        keep: Save the weights of the last epoch or of the best one.
        patience: Number of epochs without improvement after which the training stops; 0: never.
        writes: False where another worker writes.
    """

    def __init__(
        self,
        run: Run,
        network: KerasModel,
        checkpoint: Checkpoint,
        rows: Rows,
        averaged: AveragedWeights,
        metric: Metric,
        *,
        keep: str = LAST,
        patience: int = 0,
        writes: bool = True,
    ):
        super().__init__()
        self.run = run
        self.network = network
        self.checkpoint = checkpoint
        self.rows = list(rows)
        self.averaged = averaged
        self.metric = metric
        self.keep = keep
        self.patience = patience
        self.writes = writes

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.rows.append({"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}})
        weights = model_weights(self.network)  # by all workers at once: statistics are gathered from all
        if self.writes and (self.keep == LAST or best_epoch(self.rows, self.metric) == epoch + 1):
            save_weights(self.run.weights_path, weights)
        self.averaged.restore_weights()
        state = self.checkpoint.state(epoch + 1)
        if self.writes:
            write_history(self.run.path, self.rows)
            save_weights(self.checkpoint.path, state)
        if out_of_patience(self.rows, self.patience, self.metric):
            self.model.stop_training = True


class PipelineEpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves the image cache after each epoch, and logs how many examples were skipped because of unreadable images."""

    def __init__(self, examples: Examples):
        super().__init__()
        self.examples = examples

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.examples.cache:
            self.examples.cache.save()
        summary = self.examples.skipped.summary(epoch)
        if summary:
            logger.warning(summary)
