"""The task's metric of a Keras model, through the preprocessing, decoding and metric of the device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.inference import Inference
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.image.geometry import STANDARD, Geometry
from training.data.examples import evaluation_inputs
from training.tasks.base import Outputs
from training.tasks.registry import training_task

LARGEST_BATCH = 64


def measure(
    network: Callable[[NDArray[np.float32]], Outputs],
    data: TaskDataset,
    spec: Network,
    geometry: Geometry = STANDARD,
    memory_budget: int = MEMORY_BUDGET,
) -> float:
    """Return the metric of the task over a data set.

    Args:
        network: Returns the outputs for normalized images (N, H, W, 3), such as an `Inference`.
        data: The data set.
        spec: Spec of the network.
        geometry: Geometry of the network (see `mobile_eval.image.geometry`).
        memory_budget: Memory in bytes for the activations of a batch.
    """
    evaluator = training_task(spec.task).metric_evaluator(data, spec, geometry)
    size = batch_size_for(spec, memory_budget, most=LARGEST_BATCH)
    for start in range(0, len(data), size):
        evaluator.update(network(evaluation_inputs(data.items[start : start + size], spec, geometry)))
    return evaluator.result()


class Validation(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds the task's metric, such as `val_pck`, to the logs after each epoch.

    Args:
        data: The validation set.
        spec: Spec of the network.
        network: The Keras model to evaluate: the trained one, or one that gets its weights.
        trained: The Keras model that is trained.
        geometry: Geometry of the network.
        memory_budget: Memory in bytes for the activations of a batch.
    """

    def __init__(
        self,
        data: TaskDataset,
        spec: Network,
        network: KerasModel,
        trained: KerasModel,
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
