"""Gates that learn whether to be open: the loss gains a penalty for each open gate, weighted by what its unit costs.

The network's weights stand still; `model.fit` moves the gates alone, so that a few passes are enough. The
penalties of all gates together are `strength` times the network's loss when all are open, shared out by the
multiply-adds of the units: what is cheap may stay open for less.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.gates import Gate, HardConcreteGate, UnitGate, gates_of
from hrnet_tf.spec.complexity import branch_cost, link_cost
from hrnet_tf.spec.network import FusionLink, HRNetSpec, Unit
from mobile_eval.errors import HRNetError
from training.optim.trainer_models import compile_trainer, trainer_model
from training.ranking.data import Arrays, GatedNetwork, RankingData, Scores
from training.tasks.registry import training_task

LARGEST_BATCH = 16


def unit_multiply_adds(spec: HRNetSpec, unit: Unit) -> int:
    """Multiply-adds of the unit alone, without what would fall dead with it."""
    if isinstance(unit, FusionLink):
        return link_cost(spec, unit).multiply_adds
    return branch_cost(spec, unit.place).multiply_adds // len(spec.blocks(unit.place))


class ShuffledBatches(keras.utils.Sequence):  # type: ignore[misc]
    """Batches of items that are too many to keep, made when Keras asks for them, in another order each epoch."""

    def __init__(self, data: RankingData, size: int, seed: int):
        super().__init__()
        self.data = data
        self.size = size
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(data))

    def __len__(self) -> int:
        return math.ceil(len(self.data) / self.size)

    def __getitem__(self, number: int) -> Arrays:
        return self.data.made(self._order[number * self.size : (number + 1) * self.size].tolist())

    def on_epoch_end(self) -> None:
        self._order = self._random.permutation(len(self.data))


@dataclass(frozen=True)
class LearnedGates:
    """Importance is the learned gate: a hard-concrete one's chance of being open (`kind` "l0"), a plain one's size ("l1")."""

    kind: str = "l0"
    strength: float = 1.0
    epochs: int = 8
    learning_rate: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("l0", "l1"):
            raise HRNetError(f"gates are learned with an l0 or an l1 penalty, got {self.kind!r}")

    def __call__(self, network: GatedNetwork, data: RankingData) -> Scores:
        """Learn the gates on all items, `epochs` times over."""
        loss, _ = data.measure(network.gated())
        keras.utils.set_random_seed(self.seed)
        model = network.gated(self._gate(network, loss))
        gates = gates_of(model)
        for layer in model.layers:
            layer.trainable = layer in gates.values()
        learner = trainer_model(training_task(data.spec.task), model, data.loss)
        compile_trainer(learner, data.loss, keras.optimizers.Adam(self.learning_rate))
        size = data.batch_size(LARGEST_BATCH, training=True)
        if data.arrays is None:
            learner.fit(ShuffledBatches(data, size, self.seed), epochs=self.epochs, verbose=0)
        else:
            inputs, targets, *weights = data.arrays
            learner.fit(
                inputs, targets, sample_weight=weights[0] if weights else None, batch_size=size, epochs=self.epochs, verbose=0
            )
        found = {unit: gate.importance() for unit, gate in gates.items()}
        return {unit: found[unit] for unit in network.units}

    def _gate(self, network: GatedNetwork, loss: float) -> Callable[[str, Unit], Gate]:
        costs = {unit: unit_multiply_adds(network.spec, unit) for unit in network.units}
        share = self.strength * loss / sum(costs.values())
        kind = HardConcreteGate if self.kind == "l0" else UnitGate
        return lambda name, unit: kind(name, penalty=share * costs[unit])
