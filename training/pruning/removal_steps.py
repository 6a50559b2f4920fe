"""The way from a network to its pruned one, step by step, as data: what went, what fell dead, what it saved and cost."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hrnet_tf.models.gates import gates_of
from hrnet_tf.spec.network import HRNetSpec, Unit, parse_unit
from mobile_eval.progress import tracked
from training.ranking.data import GatedNetwork, RankingData


@dataclass(frozen=True)
class RemovalStep:
    """One step. `removed` was taken out, `unreachable` (links and branch modules by name) fell dead with it.

    `importance` is what the ranking says was lost, `price` that of the network after the step, `ratio` that price
    over the full network's. `loss` and `score` (of the task's metric) are the network's on held items after the step, without any
    recovery, where they were measured.
    """

    removed: tuple[Unit, ...]
    unreachable: tuple[str, ...]
    importance: float
    cost: float
    ratio: float
    loss: float | None = None
    score: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            **dataclasses.asdict(self),
            "removed": [str(unit) for unit in self.removed],
            "unreachable": list(self.unreachable),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RemovalStep:
        """The step that `to_json` wrote."""
        units = tuple(parse_unit(name) for name in data["removed"])
        return cls(**{**data, "removed": units, "unreachable": tuple(data["unreachable"])})


def removal_steps_between(
    order: Sequence[HRNetSpec], importance: Mapping[Unit, float], price: Callable[[HRNetSpec], float], full_cost: float
) -> list[RemovalStep]:
    """The steps between the networks of a removal order."""
    steps = []
    for before, after in itertools.pairwise(order):
        removed = _removed(before, after)
        dead = {*before.liveness().branches - after.liveness().branches, *before.links - after.links} - set(removed)
        cost = price(after)
        lost = sum(importance[unit] for unit in removed)
        steps.append(RemovalStep(removed, tuple(sorted(map(str, dead))), lost, cost, cost / full_cost))
    return steps


def _removed(before: HRNetSpec, after: HRNetSpec) -> tuple[Unit, ...]:
    """What was taken out: the blocks, and those of the lost links that would still be felt if they were there."""
    lost = before.links - after.links
    felt = [link for link in lost if link in dataclasses.replace(after, links=after.links | {link}).liveness().links]
    return (*sorted(felt), *sorted(after.removed_blocks - before.removed_blocks))


def replay(spec: HRNetSpec, steps: Iterable[RemovalStep]) -> HRNetSpec:
    """The network that these steps make of `spec`."""
    for step in steps:
        spec = spec.without(step.removed)
    return spec


def measure_steps(network: GatedNetwork, data: RankingData, steps: Sequence[RemovalStep]) -> list[RemovalStep]:
    """The steps with the network's loss and metric after each of them: gates are closed one after another."""
    taken = {unit for step in steps for unit in step.removed}
    model = dataclasses.replace(network, units=tuple(taken)).gated()
    gates = gates_of(model)
    measured = []
    for step in tracked(steps, "measuring each step"):
        for unit in step.removed:
            gates[unit].factor.assign(0.0)
        loss, score = data.measure(model)
        measured.append(dataclasses.replace(step, loss=loss, score=score))
    return measured


def counted(spec: HRNetSpec) -> str:
    """How much is left of a network, in words."""
    text = f"{len(spec.links)} of {len(spec.possible_links)} links"
    if spec.removed_blocks:
        text += f", {len(spec.live_blocks)} of {len(spec.possible_blocks)} blocks"
    return text
