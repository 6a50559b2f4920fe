"""Leave one unit out, look at what the loss becomes; nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass

from hrnet_tf.models.gates import gates_of
from hrnet_tf.spec.network import Unit
from mobile_eval.progress import tracked
from training.ranking.data import GatedNetwork, RankingData, Scores
from training.tasks.registry import training_task


@dataclass(frozen=True)
class Effect:
    """What removing one unit alone does, without any recovery: `loss_increase`, and `drop`, by how much the
    metric is worse."""

    loss_increase: float
    drop: float


def effects(network: GatedNetwork, data: RankingData, *, progress: bool = False) -> dict[Unit, Effect]:
    """The effect of each unit, in order of the network."""
    model = network.gated()
    loss, accuracy = data.measure(model)
    metric = training_task(data.spec.task).metric
    found = {}
    for unit, gate in tracked(gates_of(model).items(), "leaving out one by one", len(network.units), show=progress):
        gate.factor.assign(0.0)
        without = data.measure(model)
        gate.factor.assign(1.0)
        found[unit] = Effect(without[0] - loss, metric.degradation(accuracy, without[1]))
    return {unit: found[unit] for unit in network.units}


@dataclass(frozen=True)
class LeaveOneOut:
    """Importance is the increase of the loss."""

    progress: bool = False

    def __call__(self, network: GatedNetwork, data: RankingData) -> Scores:
        """One look at all items for each unit, and one for the whole."""
        return {unit: effect.loss_increase for unit, effect in effects(network, data, progress=self.progress).items()}
