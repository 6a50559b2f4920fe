"""The examples that importance is measured on: items of a dataset without augmentation."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import BACKEND
from hrnet_tf.backend.types import KerasLoss, KerasModel
from hrnet_tf.models.inference import as_arrays
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.image.image_file import read_item
from mobile_eval.image.prefetch import prefetch
from mobile_eval.progress import tracked
from training.optim.trainer_models import BatchLoss, batch_loss, trainer_model
from training.tasks.base import ExampleBuilder
from training.tasks.registry import training_task
from training.tasks.settings import TaskSettings

LARGEST_BATCH = 64

Array = NDArray[np.float32]
Arrays = tuple[Array, ...]
Batch = tuple[Array, Array, Array | None]  # inputs (N, H, W, 3), targets (N, ...), weights (N, ...)


@dataclass(frozen=True)
class RankingData:
    """Examples of a dataset for one network: inputs (N, H, W, 3), targets (N, ...) and, for some tasks, weights (N, ...).

    Attributes:
        data: The dataset.
        spec: The network.
        settings: The task's settings in the training of the network.
        loss: The task's loss by these settings.
        arrays: All examples if they fit into the memory budget; None if each batch is prepared when it is needed.
        geometry: Geometry of the network's inputs (`mobile_eval.image.geometry`).
        memory_budget: Memory for the examples, and for the activations of a batch, in bytes.
    """

    data: TaskDataset
    spec: Network
    settings: TaskSettings
    loss: KerasLoss
    arrays: Arrays | None
    geometry: Geometry = STANDARD
    memory_budget: int = MEMORY_BUDGET

    @classmethod
    def prepare(
        cls,
        data: TaskDataset,
        spec: Network,
        settings: TaskSettings,
        memory_budget: int = MEMORY_BUDGET,
        *,
        progress: bool = False,
    ) -> RankingData:
        """Prepare the examples of all items if they fit into the memory budget.

        Args:
            data: The dataset.
            spec: The network.
            settings: The task's settings in the training of the network.
            memory_budget: Memory in bytes.
            progress: Whether to show a progress bar.
        """
        loss, geometry = training_task(spec.task).loss(settings), settings.geometry
        streamed = cls(data, spec, settings, loss, None, geometry, memory_budget)
        if len(data) * sum(4 * math.prod(shape) for shape in streamed.example_shapes) > memory_budget:
            return streamed
        return dataclasses.replace(streamed, arrays=streamed.examples(range(len(data)), progress=progress))

    def __len__(self) -> int:
        return len(self.data)

    @property
    def example_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the input, the target and the weight (if there is one) of an example."""
        return self._example_builder().shapes

    def examples(self, indices: Sequence[int], *, progress: bool = False) -> Arrays:
        """Prepare the examples of some items.

        Args:
            indices: The items.
            progress: Whether to show a progress bar.

        Returns:
            Inputs, targets and, for some tasks, weights.
        """
        builder = self._example_builder()
        arrays = tuple(np.empty((len(indices), *shape), np.float32) for shape in builder.shapes)

        def prepare(row: int) -> None:
            index = int(indices[row])
            builder.plain(index, read_item(self.data.items[index]), [array[row] for array in arrays])

        for _ in tracked(prefetch(prepare, range(len(indices))), "reading images", len(indices), show=progress):
            pass
        return arrays

    def batches(self, largest: int = LARGEST_BATCH, *, training: bool = False) -> Iterator[Batch]:
        """Yield all examples in batches.

        Args:
            largest: The largest batch size; memory may allow less.
            training: Whether gradients are computed, which takes more memory.
        """
        size = self.batch_size(largest, training=training)
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            if self.arrays is None:
                batch = self.examples(range(start, stop))
            else:
                batch = tuple(array[start:stop] for array in self.arrays)
            yield batch[0], batch[1], batch[2] if len(batch) > 2 else None

    def batch_size(self, largest: int, *, training: bool = False) -> int:
        """Return the batch size that the memory budget allows, at most `largest`."""
        return batch_size_for(self.spec, self.memory_budget, most=largest, training=training)

    def halves(self) -> tuple[RankingData, RankingData]:
        """Return the items with even and with odd indices."""
        return self._part(slice(0, None, 2)), self._part(slice(1, None, 2))

    def loss_of(self, model: KerasModel) -> BatchLoss:
        """Return the loss of a Keras model as a function of inputs, targets, outputs and weights."""
        return batch_loss(trainer_model(training_task(self.spec.task), model, self.loss), self.loss)

    def measure(self, model: KerasModel, *, progress: bool = False) -> tuple[float, float]:
        """Measure a Keras model.

        Args:
            model: A model of the network, or of a part of it.
            progress: Whether to show a progress bar.

        Returns:
            The loss, as the mean over all items, and the task's metric.
        """
        evaluator = training_task(self.spec.task).metric_evaluator(self.data, self.spec, self.geometry)
        loss_of = self.loss_of(model)
        # op by op JAX is slow; tf_keras would only be slower by tracing
        predict = model.predict_on_batch if BACKEND == "jax" else functools.partial(model, training=False)
        count, total = math.ceil(len(self) / self.batch_size(LARGEST_BATCH)), 0.0
        for inputs, targets, weights in tracked(self.batches(), "loss and metric", count, show=progress):
            outputs = predict(inputs)
            total += float(loss_of(inputs, targets, outputs, weights)) * len(inputs)
            evaluator.update(as_arrays(outputs))
        return total / len(self), evaluator.result()

    def _example_builder(self) -> ExampleBuilder:
        return training_task(self.spec.task).example_builder(self.data, self.spec, self.settings)

    def _part(self, part: slice) -> RankingData:
        arrays = None if self.arrays is None else tuple(array[part] for array in self.arrays)
        return dataclasses.replace(self, data=self.data.part(part), arrays=arrays)
