"""What a run keeps of a training: the weights of its last or its best epoch, its history, and all it takes to go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import model_weights, save_weights
from mobile_eval.metrics.metric import Metric
from training.engine.checkpoint import Checkpoint
from training.engine.history import write_history
from training.optim.optimizers import AveragedWeights

LAST = "last"  # or "best"
Rows = Sequence[dict[str, float]]


def best_epoch(rows: Rows, metric: Metric) -> int:
    """The first epoch (from 1) at which the metric was best."""
    best = max if metric.higher_is_better else min
    return int(best(rows, key=lambda row: row[metric.column])["epoch"])


def out_of_patience(rows: Rows, patience: int, metric: Metric) -> bool:
    """Whether none of the last `patience` epochs was better than those before (0: never)."""
    return bool(patience and rows) and len(rows) - best_epoch(rows, metric) >= patience


class RunCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """After each epoch: weights, a row of history, and a checkpoint with the optimizer's state; ends where patience does.

    `rows` are those of the epochs that are done. What is kept of weights are averages where `averaged` has put them in; it
    is told to take them out before the checkpoint. Without `writes` (another worker does) it only counts.
    """

    def __init__(
        self,
        run: Run,
        network: Any,
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
        self.averaged.take_out()
        state = self.checkpoint.state(epoch + 1)
        if self.writes:
            write_history(self.run.path, self.rows)
            save_weights(self.checkpoint.path, state)
        if out_of_patience(self.rows, self.patience, self.metric):
            self.model.stop_training = True
