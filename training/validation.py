"""Accuracy of a Keras model on a data set, through the device's own preprocessing, decoding and metric."""

from __future__ import annotations

from typing import Any

import numpy as np

from hrnet_tf._keras import keras
from hrnet_tf.networks import Network
from hrnet_tf.weights import model_weights, set_model_weights
from mobile_eval.geometry import PLAIN
from mobile_eval.tasks.asked import TaskData
from training.examples import plain_inputs
from training.tasks.registry import training_task

BATCH = 64


def measure(model: Any, data: TaskData, spec: Network, geometry: str = PLAIN) -> float:
    """The metric of the task over all of `data`, for a network of that geometry."""
    scorer = training_task(spec.task).scorer_in(geometry, data, spec)
    size = min(BATCH, len(data))
    for start in range(0, len(data), size):
        inputs = plain_inputs(data.items[start : start + size], spec, geometry)
        whole = np.resize(inputs, (size, *inputs.shape[1:]))  # a shape of its own would be compiled for the last batch
        scorer.update(_first(model.predict_on_batch(whole), len(inputs)))
    return scorer.result()


def _first(answers: Any, count: int) -> Any:
    """Those of the first `count` items: one array, or several by name."""
    return {name: array[:count] for name, array in answers.items()} if isinstance(answers, dict) else answers[:count]


class Validate(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds the task's metric, such as `val_pck`, to the logs after each epoch: that of `network`, which is what is trained or
    is given its weights.
    """

    def __init__(self, data: TaskData, spec: Network, network: Any, trained: Any, geometry: str = PLAIN):
        super().__init__()
        self.data = data
        self.spec = spec
        self.network = network
        self.trained = trained
        self.geometry = geometry

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.network is not self.trained:
            set_model_weights(self.network, model_weights(self.trained))
        if logs is not None:
            found = measure(self.network, self.data, self.spec, self.geometry)
            logs[training_task(self.spec.task).metric.column] = found
