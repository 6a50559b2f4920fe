"""The examples that importance is measured on."""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hrnet_tf.backend.keras_module import BACKEND, keras
from hrnet_tf.backend.labelled_data import Labelled
from hrnet_tf.backend.types import Arrays, KerasModel
from hrnet_tf.models.inference import as_arrays
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import batch_size_for
from mobile_eval.metrics.metric import Metric
from mobile_eval.progress import tracked
from training.optim.trainer_models import BatchLoss
from training.tasks.base import MetricEvaluator

LARGEST_BATCH = 64


class RankingData(abc.ABC):
    """Examples without augmentation, and how well a model does on them.

    Attributes:
        spec: The network.
        metric: What `measure` returns beside the loss.
        memory_budget: Memory for the activations of a batch, in bytes.
    """

    spec: Network
    memory_budget: int

    @property
    @abc.abstractmethod
    def metric(self) -> Metric:
        """What `measure` returns beside the loss."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Return the number of examples."""

    @abc.abstractmethod
    def examples(self, indices: Sequence[int]) -> Labelled:
        """Return some examples by their indices."""

    @abc.abstractmethod
    def part(self, part: slice) -> RankingData:
        """Return a part of the examples."""

    @abc.abstractmethod
    def trainer(self, model: KerasModel) -> tuple[KerasModel, BatchLoss]:
        """Return what to call in place of a model to train it, and the loss of the outputs, also of those at inference."""

    @abc.abstractmethod
    def evaluator(self) -> MetricEvaluator | None:
        """Return what measures the metric; None if the metric is the loss."""

    def loss_of(self, model: KerasModel) -> BatchLoss:
        """Return the loss of a Keras model as a function of inputs, targets, outputs and weights."""
        return self.trainer(model)[1]

    def halves(self) -> tuple[RankingData, RankingData]:
        """Return the examples with even and with odd indices."""
        return self.part(slice(0, None, 2)), self.part(slice(1, None, 2))

    def batch_size(self, largest: int, *, training: bool = False) -> int:
        """Return the batch size that the memory budget allows, at most `largest`."""
        return batch_size_for(self.spec, self.memory_budget, most=largest, training=training)

    def batches(self, largest: int = LARGEST_BATCH, *, training: bool = False) -> Iterator[Labelled]:
        """Yield all examples in batches.

        Args:
            largest: The largest batch size; memory may allow less.
            training: Whether gradients are computed, which takes more memory.
        """
        size = self.batch_size(largest, training=training)
        for start in range(0, len(self), size):
            yield self.examples(range(start, min(start + size, len(self))))

    def measure(self, model: KerasModel, *, progress: bool = False) -> tuple[float, float]:
        """Measure a Keras model.

        Args:
            model: A model of the network, or of a part of it.
            progress: Whether to show a progress bar.

        Returns:
            The loss, as the mean over all examples, and the metric.
        """
        evaluator, loss_of = self.evaluator(), self.loss_of(model)
        predict = inference_of(model)
        count, total = math.ceil(len(self) / self.batch_size(LARGEST_BATCH)), 0.0
        for batch in tracked(self.batches(), "loss and metric", count, show=progress):
            outputs = predict(batch.inputs)
            total += float(loss_of(batch.inputs, batch.targets, outputs, batch.weights)) * batch.items
            if evaluator:
                evaluator.update(as_arrays(outputs))
        loss = total / len(self)
        return loss, evaluator.result() if evaluator else loss

    def loss_meter(self, model: KerasModel) -> Callable[[], float]:
        """Return what measures the loss of a Keras model, as the mean over all examples, as often as its weights change.

        The model is traced once, which pays after a few measurements.

        Args:
            model: A model of the network.
        """
        loss_of = self.loss_of(model)

        def measure() -> float:
            total = 0.0
            for batch in self.batches():
                outputs = model.predict_on_batch(batch.inputs)
                total += float(loss_of(batch.inputs, batch.targets, outputs, batch.weights)) * batch.items
            return total / len(self)

        return measure


def inference_of(model: KerasModel) -> Callable[[Arrays], Arrays]:
    """Return what computes the outputs of a batch: op by op JAX is slow, but tf_keras is only slower by tracing."""
    return model.predict_on_batch if BACKEND == "jax" else functools.partial(model, training=False)


class ShuffledBatches(keras.utils.Sequence):  # type: ignore[misc]
    """Batches for `fit`, made when Keras needs them, in a new order each epoch.

    Args:
        data: The examples.
        size: Examples in a batch.
        seed: Seed of the order.
    """

    def __init__(self, data: RankingData, size: int, seed: int):
        super().__init__()
        self.data = data
        self.size = size
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(data))

    def __len__(self) -> int:
        return math.ceil(len(self.data) / self.size)

    def __getitem__(self, number: int) -> tuple[Arrays, ...]:
        return self.data.examples(self._order[number * self.size : (number + 1) * self.size].tolist()).present

    def on_epoch_end(self) -> None:
        self._order = self._random.permutation(len(self.data))
