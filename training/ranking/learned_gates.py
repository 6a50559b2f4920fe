"""Gates that learn whether to be open: the loss gains a penalty for each open gate, weighted by the cost of its unit.

The weights of the network are fixed and `model.fit` moves only the gates, so a few epochs are enough. The penalties of all gates
add up to `strength` times the network's loss when all are open. Each gate's penalty is proportional to the multiply-adds of its
unit, so cheap units may stay open for less. L0 gates are those of Louizos et al., Learning Sparse Neural Networks through L0
Regularization (arXiv 1712.01312).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.gates import HardConcreteGate, UnitGate, gates_of
from hrnet_tf.spec.complexity import branch_cost, link_cost
from hrnet_tf.spec.network import FusionLink, HRNetSpec, Unit
from mobile_eval.errors import HRNetError
from training.optim.trainer_models import compile_trainer, trainer_model
from training.ranking.data import Arrays, RankingData
from training.ranking.gated_network import GatedNetwork, GateFactory
from training.ranking.scores import Scores
from training.tasks.registry import training_task

LARGEST_BATCH = 16
PENALTIES = ("l0", "l1")


def unit_multiply_adds(spec: HRNetSpec, unit: Unit) -> int:
    """Return the multiply-adds of a unit alone, without those of what becomes unreachable with it."""
    if isinstance(unit, FusionLink):
        return link_cost(spec, unit).multiply_adds
    return branch_cost(spec, unit.place).multiply_adds // len(spec.blocks(unit.place))


class ShuffledBatches(keras.utils.Sequence):  # type: ignore[misc]
    """Batches of examples that do not fit into memory, prepared when Keras needs them, in a new order each epoch."""

    def __init__(self, data: RankingData, size: int, seed: int):
        super().__init__()
        self.data = data
        self.size = size
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(data))

    def __len__(self) -> int:
        return math.ceil(len(self.data) / self.size)

    def __getitem__(self, number: int) -> Arrays:
        return self.data.examples(self._order[number * self.size : (number + 1) * self.size].tolist())

    def on_epoch_end(self) -> None:
        self._order = self._random.permutation(len(self.data))


@dataclass(frozen=True)
class LearnedGates:
    """Importance is the learned gate.

    Attributes:
        penalty: "l0" for hard-concrete gates, whose importance is the probability of being open; "l1" for factors, whose
            importance is their absolute value.
        strength: Sum of all penalties over the loss of the network.
        epochs: Number of epochs.
        learning_rate: Learning rate of Adam.
        seed: Seed of the gates and of the order of examples.
    """

    penalty: str = "l0"
    strength: float = 1.0
    epochs: int = 8
    learning_rate: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.penalty not in PENALTIES:
            raise HRNetError(f"`penalty` must be one of {', '.join(PENALTIES)}, got {self.penalty!r}")

    def __call__(self, network: GatedNetwork, data: RankingData) -> Scores:
        """Return the importance of each unit."""
        loss, _ = data.measure(network.build())
        keras.utils.set_random_seed(self.seed)
        model = network.build(self._gate_factory(network, loss))
        gates = gates_of(model)
        for layer in model.layers:
            layer.trainable = layer in gates.values()
        trainer = trainer_model(training_task(data.spec.task), model, data.loss)
        compile_trainer(trainer, data.loss, keras.optimizers.Adam(self.learning_rate))
        size = data.batch_size(LARGEST_BATCH, training=True)
        if data.arrays is None:
            trainer.fit(ShuffledBatches(data, size, self.seed), epochs=self.epochs, verbose=0)
        else:
            inputs, targets, *weights = data.arrays
            sample_weight = weights[0] if weights else None
            trainer.fit(inputs, targets, sample_weight=sample_weight, batch_size=size, epochs=self.epochs, verbose=0)
        scores = {unit: gate.importance() for unit, gate in gates.items()}
        return {unit: scores[unit] for unit in network.units}

    def _gate_factory(self, network: GatedNetwork, loss: float) -> GateFactory:
        costs = {unit: unit_multiply_adds(network.spec, unit) for unit in network.units}
        penalty_per_cost = self.strength * loss / sum(costs.values())
        gate = HardConcreteGate if self.penalty == "l0" else UnitGate
        return lambda name, unit: gate(name, penalty=penalty_per_cost * costs[unit])
