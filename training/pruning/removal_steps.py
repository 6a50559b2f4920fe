"""What each step of a removal order removes and saves, and what the network loses by it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from hrnet_tf.models.gates import gates_of
from hrnet_tf.runs.pruning import RemovalStep
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import Unit
from mobile_eval.progress import tracked
from training.pruning.removal_order import Cost, Removal
from training.ranking.data import RankingData
from training.ranking.gated_network import GatedNetwork


def removal_steps(
    order: Sequence[HRNetSpec], importance: Mapping[Unit, float], cost: Cost, full_cost: float
) -> list[RemovalStep]:
    """Return the steps between the networks of a removal order.

    Args:
        order: Ever smaller networks.
        importance: Importance of each unit that is removed.
        cost: Cost of a network.
        full_cost: Cost of the full network.
    """
    steps = []
    for before, after in itertools.pairwise(order):
        removed = _removed_units(before, after)
        lost = {*before.liveness().branches - after.liveness().branches, *before.links - after.links}
        step_cost = cost(after)
        steps.append(
            RemovalStep(
                removed=tuple(map(str, removed)),
                unreachable=tuple(sorted(map(str, lost - set(removed)))),
                importance=sum(importance[unit] for unit in removed),
                cost=step_cost,
                ratio=step_cost / full_cost,
            )
        )
    return steps


def _removed_units(before: HRNetSpec, after: HRNetSpec) -> tuple[Unit, ...]:
    """The removed blocks, and those of the missing links that would influence an output if they were restored."""
    missing = before.links - after.links
    links = [link for link in missing if link in dataclasses.replace(after, links=after.links | {link}).liveness().links]
    return (*sorted(links), *sorted(after.removed_blocks - before.removed_blocks))


def measure_steps(network: GatedNetwork, data: RankingData, steps: Sequence[RemovalStep]) -> list[RemovalStep]:
    """Return the steps with the loss and the metric of the network after each, before any fine-tuning."""
    if not steps:
        return []
    units = {unit for step in steps for unit in step.units}
    model = dataclasses.replace(network, units=tuple(units)).build()
    gates = gates_of(model)
    measured = []
    for step in tracked(steps, "measuring each step"):
        for unit in step.units:
            gates[unit].factor.assign(0.0)
        loss, score = data.measure(model)
        measured.append(dataclasses.replace(step, loss=loss, score=score))
    return measured


class LossIncrease:
    """Importance of a removal, measured as the increase of the loss on the network as it is at that point.

    Unlike the sum of scores from a ranking, this takes interactions between units into account.
    """

    def __init__(self, network: GatedNetwork, data: RankingData):
        self.model = network.build()
        self.gates = gates_of(self.model)
        self.data = data
        self._losses: dict[frozenset[Unit], float] = {}

    def __call__(self, spec: HRNetSpec, removal: Removal) -> float:
        """Return how much the loss of `spec` increases by `removal`, before any fine-tuning."""
        return self.loss(spec.without(removal)) - self.loss(spec)

    def loss(self, spec: HRNetSpec) -> float:
        """Return the loss of a part of the network: the gates of all other units are closed."""
        built = {*spec.liveness().links, *spec.live_blocks}
        closed = frozenset(unit for unit in self.gates if unit not in built)
        if closed not in self._losses:
            for unit, gate in self.gates.items():
                gate.factor.assign(float(unit not in closed))
            self._losses[closed] = self.data.measure(self.model)[0]
        return self._losses[closed]
