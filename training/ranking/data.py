"""What importance is measured on: a trained network, and items of a data set without augmentation."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import BACKEND
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.gates import GATE_SUFFIX, Gate, UnitGate, on_units
from hrnet_tf.models.inference import as_arrays
from hrnet_tf.runs.weights import model_weights, set_model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from hrnet_tf.spec.network import HRNetSpec, Unit
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.image.prefetch import prefetch
from mobile_eval.image.preprocess import read_item
from mobile_eval.progress import tracked
from training.optim.trainer_models import batch_loss, trainer_model
from training.tasks.base import ExampleBuilder
from training.tasks.registry import training_task

LARGEST_BATCH = 64

Arrays = tuple[NDArray[np.float32], ...]
Scores = dict[Unit, float]
Score = Callable[["GatedNetwork", "RankingData"], Scores]


@dataclass(frozen=True)
class GatedNetwork:
    """A spec, its trained weights (with BatchNorm), and the units of it that are asked about."""

    spec: HRNetSpec
    weights: Weights = field(repr=False)
    units: tuple[Unit, ...]

    @classmethod
    def of(cls, spec: HRNetSpec, weights: Weights, *, blocks: bool = False) -> GatedNetwork:
        """Ask about every link, and with `blocks` about every residual block of stages 2 and on too."""
        return cls(spec, weights, (*sorted(spec.links), *(sorted(spec.live_blocks) if blocks else ())))

    def gated(self, make: Callable[[str, Unit], Gate] | None = None) -> Any:
        """Its Keras model as at inference (BatchNorm folded), with a gate on each unit: a factor, or `make(name, unit)`."""
        model = build_model(self.spec, folded=True, gate=on_units(frozenset(self.units), make or _plain))
        gates = {name: array for name, array in model_weights(model).items() if f"{GATE_SUFFIX}/" in name}
        set_model_weights(model, {**fold_batch_norm(self.weights), **gates})
        return model


def _plain(name: str, unit: Unit) -> Gate:
    return UnitGate(name)


@dataclass(frozen=True)
class RankingData:
    """Items without augmentation: inputs (N, H, W, 3), targets (N, ...) and, of some tasks, weights (N, ...).

    Where all of them fit into `memory_budget` (bytes) they are made ready once and kept as `arrays`; where not, `arrays` is None
    and each batch is made when it is asked for. `loss` is the task's Keras loss by `settings`, those of the network's training.
    """

    data: TaskDataset
    spec: Network
    settings: Any
    loss: Any
    arrays: Arrays | None
    geometry: Geometry = STANDARD
    memory_budget: int = MEMORY_BUDGET

    @classmethod
    def prepare(
        cls, data: TaskDataset, spec: Network, settings: Any, memory_budget: int = MEMORY_BUDGET, *, progress: bool = False
    ) -> RankingData:
        """Inputs and targets of all items, where they can be kept; with `progress` a bar shows how far this is."""
        loss, geometry = training_task(spec.task).loss(settings), settings.geometry
        held = cls(data, spec, settings, loss, None, geometry, memory_budget)
        if len(data) * sum(4 * math.prod(shape) for shape in held.example_builder().shapes) > memory_budget:
            return held
        return dataclasses.replace(held, arrays=held.made(range(len(data)), progress=progress))

    def __len__(self) -> int:
        return len(self.data)

    def example_builder(self) -> ExampleBuilder:
        """Makes examples of the items."""
        return training_task(self.spec.task).example_builder(self.data, self.spec, self.settings)

    def made(self, indices: Sequence[int], *, progress: bool = False) -> Arrays:
        """The arrays of the items of these indices, made anew."""
        example_builder = self.example_builder()
        arrays = tuple(np.empty((len(indices), *shape), np.float32) for shape in example_builder.shapes)

        def make(place: int) -> None:
            index = int(indices[place])
            example_builder.plain(index, read_item(self.data.items[index]), [array[place] for array in arrays])

        for _ in tracked(prefetch(make, range(len(indices))), "reading images", len(indices), show=progress):
            pass
        return arrays

    def batches(self, most: int = LARGEST_BATCH, *, training: bool = False) -> Iterator[tuple[Any, Any, Any]]:
        """Inputs, targets and weights (or None) of so many items at a time, at most `most`, as memory allows."""
        size = self.batch_size(most, training=training)
        for start in range(0, len(self), size):
            indices = range(start, min(start + size, len(self)))
            part = self.made(indices) if self.arrays is None else [array[indices.start : indices.stop] for array in self.arrays]
            yield part[0], part[1], part[2] if len(part) > 2 else None

    def batch_size(self, most: int, *, training: bool = False) -> int:
        """How many items at a time, at most `most`, the memory budget allows."""
        return batch_size_for(self.spec, self.memory_budget, most=most, training=training)

    def halves(self) -> tuple[RankingData, RankingData]:
        """Every other item, and the rest; both of the same size where their number is even."""
        return self._taken(slice(0, None, 2)), self._taken(slice(1, None, 2))

    def _taken(self, part: slice) -> RankingData:
        arrays = None if self.arrays is None else tuple(array[part] for array in self.arrays)
        return dataclasses.replace(self, data=self.data.part(part), arrays=arrays)

    def loss_of(self, model: Any) -> Callable[[Any, Any, Any, Any], Any]:
        """The loss of a Keras model as a function of inputs, targets, answers and weights."""
        return batch_loss(trainer_model(training_task(self.spec.task), model, self.loss), self.loss)

    def measure(self, model: Any, *, progress: bool = False) -> tuple[float, float]:
        """Loss (the mean over all items) and metric of a Keras model."""
        metric_evaluator, loss_of = (
            training_task(self.spec.task).metric_evaluator(self.data, self.spec, self.geometry),
            self.loss_of(model),
        )
        # op by op JAX is slow; tf_keras would only be slower by tracing
        answers = model.predict_on_batch if BACKEND == "jax" else functools.partial(model, training=False)
        number, total = math.ceil(len(self) / self.batch_size(LARGEST_BATCH)), 0.0
        for inputs, targets, weights in tracked(self.batches(), "loss and metric", number, show=progress):
            found = answers(inputs)
            total += float(loss_of(inputs, targets, found, weights)) * len(inputs)
            metric_evaluator.update(as_arrays(found))
        return total / len(self), metric_evaluator.result()
