"""Accuracy of a Keras model on a data set, through the device's own preprocessing, decoding and metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.inference import Inference
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.image.geometry import STANDARD, Geometry
from training.data.examples import evaluation_inputs
from training.tasks.registry import training_task

LARGEST_BATCH = 64


def measure(
    network: Callable[[Any], Any],
    data: TaskDataset,
    spec: Network,
    geometry: Geometry = STANDARD,
    memory_budget: int = MEMORY_BUDGET,
) -> float:
    """The metric of the task over all of `data`.

    Args:
        network: What the network answers for normalized images (N, H, W, 3), such as an `Inference`.
        data: Validation set.
        spec: The network's.
        geometry: The network's (see `mobile_eval.image.geometry`).
        memory_budget: Bytes that a batch's activations may take.
    """
    metric_evaluator = training_task(spec.task).metric_evaluator(data, spec, geometry)
    size = batch_size_for(spec, memory_budget, most=LARGEST_BATCH)
    for start in range(0, len(data), size):
        metric_evaluator.update(network(evaluation_inputs(data.items[start : start + size], spec, geometry)))
    return metric_evaluator.result()


class Validation(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds the task's metric, such as `val_pck`, to the logs after each epoch: that of `network`, which is what is trained or
    is given its weights.
    """

    def __init__(
        self,
        data: TaskDataset,
        spec: Network,
        network: Any,
        trained: Any,
        geometry: Geometry = STANDARD,
        memory_budget: int = MEMORY_BUDGET,
    ):
        super().__init__()
        self.data = data
        self.spec = spec
        self.network = network
        self.trained = trained
        self.geometry = geometry
        self.memory_budget = memory_budget
        self.inference = Inference(network, (*spec.input_size, 3))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.network is not self.trained:
            set_model_weights(self.network, model_weights(self.trained))
        if logs is not None:
            score = measure(self.inference, self.data, self.spec, self.geometry, self.memory_budget)
            logs[training_task(self.spec.task).metric.column] = score
