"""Importance without training: leave-one-out, Taylor expansion, and random scores as a control."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hrnet_tf.backend.keras_module import tf
from hrnet_tf.models.gates import gates_of
from hrnet_tf.spec.units import Unit
from mobile_eval.progress import tracked
from training.ranking.data import RankingData
from training.ranking.first_order import SMALL_BATCH, mean_sizes
from training.ranking.gated_network import GatedNetwork
from training.ranking.scores import Scores, check_loss

ImportanceMethod = Callable[[GatedNetwork, RankingData], Scores]


@dataclass(frozen=True)
class RemovalEffect:
    """Effect of removing one unit, before any fine-tuning.

    Attributes:
        loss_increase: Increase of the loss.
        drop: How much worse the metric of the data becomes.
    """

    loss_increase: float
    drop: float


def removal_effects(network: GatedNetwork, data: RankingData, *, progress: bool = False) -> dict[Unit, RemovalEffect]:
    """Return the effect of removing each unit alone, in the order of `network.units`.

    Args:
        network: The trained network.
        data: The ranking set.
        progress: Whether to show a progress bar.
    """
    model = network.build()
    loss, score = data.measure(model)
    check_loss(loss)
    effects = {}
    for unit, gate in tracked(gates_of(model).items(), "leaving out each unit", len(network.units), show=progress):
        gate.factor.assign(0.0)
        loss_without, score_without = data.measure(model)
        gate.factor.assign(1.0)
        effects[unit] = RemovalEffect(loss_without - loss, data.metric.degradation(score, score_without))
    return {unit: effects[unit] for unit in network.units}


@dataclass(frozen=True)
class LeaveOneOut:
    """Importance is the increase of the loss without the unit. Takes one pass over the data for each unit."""

    progress: bool = False

    def __call__(self, network: GatedNetwork, data: RankingData) -> Scores:
        """Return the importance of each unit."""
        effects = removal_effects(network, data, progress=self.progress)
        return {unit: effect.loss_increase for unit, effect in effects.items()}


@dataclass(frozen=True)
class Taylor:
    """Importance is the first-order change of the loss with the unit's gate. Takes one pass over the data.

    With a gate g = 1 on a unit, the loss without the unit is L - g dL/dg to first order. Importance is the mean of |g dL/dg| over
    small batches (`first_order.mean_sizes`).

    Attributes:
        batch: Items per gradient, or fewer if memory is short.
    """

    batch: int = SMALL_BATCH

    def __call__(self, network: GatedNetwork, data: RankingData) -> Scores:
        """Return the importance of each unit."""
        model = network.build()
        gates = gates_of(model)
        sizes = mean_sizes(model, data, [gate.factor for gate in gates.values()], tf.stack, self.batch)
        scores = dict(zip(gates, map(float, sizes), strict=True))
        return {unit: scores[unit] for unit in network.units}


@dataclass(frozen=True)
class RandomScores:
    """Importance is a random number between 0 and 1: the control that every other method has to beat."""

    seed: int = 0

    def __call__(self, network: GatedNetwork, data: RankingData) -> Scores:
        """Return a score of each unit, which does not depend on the data."""
        scores = np.random.default_rng(self.seed).random(len(network.units))
        return dict(zip(network.units, map(float, scores), strict=True))
