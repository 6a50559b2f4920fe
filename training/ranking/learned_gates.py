"""Gates that learn whether to be open: the loss gains a penalty for each open gate, weighted by the cost of its unit.

The weights of the network are fixed and `model.fit` moves only the gates, so a few epochs are enough. The penalties of all gates
add up to `strength` times the network's loss when all are open. Each gate's penalty is proportional to the multiply-adds of its
unit, so cheap units may stay open for less. L0 gates are those of Louizos et al., Learning Sparse Neural Networks through L0
Regularization (arXiv 1712.01312).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hrnet_tf.backend.keras_module import keras, ops
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.gates import Gate, HardConcreteGate, UnitGate, gates_of
from hrnet_tf.spec.convolutions import multiply_adds_by_part
from hrnet_tf.spec.units import Unit
from mobile_eval.errors import HRNetError
from training.optim.trainer_models import BatchLoss, TrainerModel
from training.ranking.data import RankingData, ShuffledBatches
from training.ranking.gated_network import GatedNetwork
from training.ranking.scores import Scores, check_loss

LARGEST_BATCH = 16
PENALTIES = ("l0", "l1")


class GateTrainer(TrainerModel):
    """Trains the gates of a network by the loss of the data and a penalty. Losses that layers add do not count.

    Args:
        network: The gated network, or a model that trains it.
        loss: Loss of a batch.
        penalty: Returns the penalty of all gates, a scalar.
    """

    def __init__(self, network: KerasModel, loss: BatchLoss, penalty: Callable[[], Tensor]):
        super().__init__(network, name="gate_trainer")
        self.batch_loss = loss
        self.penalty = penalty

    @property
    def losses(self) -> list[Tensor]:
        return []

    def loss_from_outputs(self, x: Tensor, y: Tensor, outputs: Tensor, sample_weight: Tensor = None) -> Tensor:
        loss = ops.cast(self.batch_loss(x, y, outputs, sample_weight), "float32")
        return loss + self.penalty()


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
        loss, _ = data.measure(network.model)
        check_loss(loss)
        keras.utils.set_random_seed(self.seed)
        kind = HardConcreteGate if self.penalty == "l0" else UnitGate
        model = network.build(lambda name, unit: kind(name))
        gates, penalties = gates_of(model), self.penalties(network, loss)
        for layer in model.layers:
            layer.trainable = isinstance(layer, Gate)

        def penalty() -> Tensor:
            return sum(penalties[unit] * gate.openness() for unit, gate in gates.items())

        trainer = GateTrainer(*data.trainer(model), penalty)
        trainer.compile(keras.optimizers.Adam(self.learning_rate), jit_compile=False)
        size = data.batch_size(LARGEST_BATCH, training=True)
        trainer.fit(ShuffledBatches(data, size, self.seed), epochs=self.epochs, verbose=0)
        return {unit: float(gates[unit].openness()) for unit in network.units}

    def penalties(self, network: GatedNetwork, loss: float) -> dict[Unit, float]:
        """Return what each open gate adds to the loss.

        Args:
            network: The network.
            loss: The loss of the network with open gates.
        """
        parts = multiply_adds_by_part(network.spec)
        costs = {unit: parts[unit.name] for unit in network.units}
        return {unit: self.strength * loss * cost / sum(costs.values()) for unit, cost in costs.items()}
