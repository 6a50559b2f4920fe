"""What importance is measured on: a trained network, and items of a data set that were made ready once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf._keras import BACKEND
from hrnet_tf.folding import fold_batch_norm
from hrnet_tf.gates import SUFFIX, Gate, UnitGate, on_units
from hrnet_tf.networks import Network, build_model
from hrnet_tf.spec import HRNetSpec, Unit
from hrnet_tf.weights import Weights, model_weights, set_model_weights
from mobile_eval.geometry import PLAIN
from mobile_eval.preprocess import read_item
from mobile_eval.tasks.asked import TaskData
from training.learner import loss_function, make_learner
from training.tasks.registry import training_task
from training.tasks.task import settings_geometry

BATCH = 64

Scores = dict[Unit, float]
Score = Callable[["TrainedNetwork", "HeldSet"], Scores]


@dataclass(frozen=True)
class TrainedNetwork:
    """A spec, its trained weights (with BatchNorm), and the units of it that are asked about."""

    spec: HRNetSpec
    weights: Weights = field(repr=False)
    units: tuple[Unit, ...]

    @classmethod
    def of(cls, spec: HRNetSpec, weights: Weights, *, blocks: bool = False) -> TrainedNetwork:
        """Ask about every link, and with `blocks` about every residual block of stages 2 and on too."""
        return cls(spec, weights, (*sorted(spec.links), *(sorted(spec.live_blocks) if blocks else ())))

    def gated(self, make: Callable[[str, Unit], Gate] | None = None) -> Any:
        """Its Keras model as at inference (BatchNorm folded), with a gate on each unit: a factor, or `make(name, unit)`."""
        model = build_model(self.spec, folded=True, gate=on_units(frozenset(self.units), make or _plain))
        gates = {name: array for name, array in model_weights(model).items() if f"{SUFFIX}/" in name}
        set_model_weights(model, {**fold_batch_norm(self.weights), **gates})
        return model


def _plain(name: str, unit: Unit) -> Gate:
    return UnitGate(name)


@dataclass(frozen=True)
class HeldSet:
    """Items made ready once, without augmentation: inputs (N, H, W, 3), targets (N, ...) and, of some tasks, weights (N, ...).

    `loss` is the task's Keras loss, by the settings that the network was trained by.
    """

    data: TaskData
    spec: Network
    loss: Any
    arrays: tuple[NDArray[np.float32], ...]
    geometry: str = PLAIN

    @classmethod
    def prepare(cls, data: TaskData, spec: Network, settings: Any) -> HeldSet:
        """Inputs and targets of all items."""
        task = training_task(spec.task)
        maker = task.maker(data, spec, settings)
        arrays = tuple(np.empty((len(data), *shape), np.float32) for shape in maker.shapes)
        for index, item in enumerate(data.items):
            maker.plain(index, read_item(item), [array[index] for array in arrays])
        return cls(data, spec, task.loss(settings), arrays, settings_geometry(settings))

    def __len__(self) -> int:
        return len(self.data)

    def batches(self, size: int = BATCH) -> list[tuple[Any, Any, Any]]:
        """Inputs, targets and weights (or None) of so many items at a time."""
        parts = ([array[start : start + size] for array in self.arrays] for start in range(0, len(self), size))
        return [(part[0], part[1], part[2] if len(part) > 2 else None) for part in parts]

    def halves(self) -> tuple[HeldSet, HeldSet]:
        """Every other item, and the rest; both of the same size where their number is even."""
        return self._taken(slice(0, None, 2)), self._taken(slice(1, None, 2))

    def _taken(self, part: slice) -> HeldSet:
        arrays = tuple(array[part] for array in self.arrays)
        return dataclasses.replace(self, data=self.data.part(part), arrays=arrays)

    def loss_of(self, model: Any) -> Callable[[Any, Any, Any, Any], Any]:
        """The loss of a Keras model as a function of inputs, targets, answers and weights."""
        return loss_function(make_learner(training_task(self.spec.task), model, self.loss), self.loss)

    def measure(self, model: Any) -> tuple[float, float]:
        """Loss (the mean of batches) and metric of a Keras model."""
        scorer, loss_of = training_task(self.spec.task).scorer_in(self.geometry, self.data, self.spec), self.loss_of(model)
        # op by op JAX is slow; tf_keras would only be slower by tracing
        answers = model.predict_on_batch if BACKEND == "jax" else functools.partial(model, training=False)
        total = 0.0
        for inputs, targets, weights in self.batches():
            found = answers(inputs)
            total += float(loss_of(inputs, targets, found, weights)) * len(inputs)
            scorer.update(arrays_of(found))
        return total / len(self), scorer.result()


def arrays_of(found: Any) -> Any:
    """A model's answers as numpy arrays: one, or several by name."""
    return {name: np.asarray(value) for name, value in found.items()} if isinstance(found, dict) else np.asarray(found)
