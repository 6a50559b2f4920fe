"""The order in which units are removed: greedily, the least importance per saved cost first.

A single fusion link costs little. A branch of a module costs a lot, and is not built once no link leads out of it. A removal is
therefore a single link, a single residual block, or all the links that keep a branch alive from some module on.

The importance of a removal is the sum of its units' scores, or is measured again on the network as it is at that point. Units
that become unreachable add nothing: they influenced the outputs only through the removed ones. The saved cost is the difference
between the costs of the two networks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import BranchModule, FusionLink, Unit
from mobile_eval.errors import HRNetError
from mobile_eval.progress import counting

Removal = frozenset[Unit]
Cost = Callable[[HRNetSpec], float]
RemovalImportance = Callable[[HRNetSpec, Removal], float]  # importance of a removal from a network
SMALLEST_SAVING = 1e-12  # relative to the cost of the network; avoids divisions by zero


def possible_removals(spec: HRNetSpec, *, include_blocks: bool = False) -> set[Removal]:
    """Return every removal that `spec` allows.

    Args:
        spec: The network.
        include_blocks: Whether residual blocks may be removed too.

    Returns:
        Each single link, each set of links that keeps a branch module alive, and with `include_blocks` each residual block.
    """
    branches = [branch for branch in spec.liveness().branches if branch.branch not in spec.outputs]
    groups = {links_keeping_branch_alive(spec, branch) for branch in branches}
    units = (*spec.links, *(spec.live_blocks if include_blocks else ()))
    return {frozenset({unit}) for unit in units} | {group for group in groups if group}


def links_keeping_branch_alive(spec: HRNetSpec, branch: BranchModule) -> Removal:
    """Return the links whose removal makes `branch` unreachable.

    These are the links out of the branch in this module and in later ones. The new branch of a stage starts from the lowest
    branch of the stage before, so where that one becomes unreachable, the links out of the new branch are among them too.
    """

    def begins_at_or_after(link: FusionLink) -> bool:
        return (link.stage, link.module) >= (branch.stage, branch.module)

    sources = {branch.branch}
    for stage in range(branch.stage + 1, spec.last_stage + 1):
        if stage - 2 in sources:
            sources.add(stage - 1)
    return frozenset(
        link for link in spec.links if link.source in sources and link.target not in sources and begins_at_or_after(link)
    )


def removal_order(
    spec: HRNetSpec,
    importance: Mapping[Unit, float],
    cost: Cost,
    removal_importance: RemovalImportance | None = None,
    *,
    progress: bool = False,
) -> list[HRNetSpec]:
    """Return ever smaller networks, each without the removal of least importance per saved cost.

    A removal of several links is split into small steps, so that a budget between its two ends can be met.

    Args:
        spec: The network to start from.
        importance: Importance of each link, and of each residual block if these may be removed.
        cost: Cost of a network.
        removal_importance: Importance of a removal from a network; None for the sum of its units' importance.
        progress: Whether to show a progress bar.

    Returns:
        The networks, `spec` first. The last one has at least one link.

    Raises:
        HRNetError: A link or block of `spec` has no importance.
    """
    include_blocks = any(not isinstance(unit, FusionLink) for unit in importance)
    units = (*spec.links, *(spec.live_blocks if include_blocks else ()))
    missing = [unit for unit in units if unit not in importance]
    if missing:
        raise HRNetError(f"{min(map(str, missing))} was not ranked: rank this run again")
    summed: RemovalImportance = lambda _, removal: sum(importance[unit] for unit in removal)  # noqa: E731
    smallest = min((value for value in importance.values() if value > 0), default=1.0) / 10
    greedy = _GreedyChoice(cost, removal_importance or summed, smallest)
    order = [spec]
    with counting("ranking again after each removal", len(units), show=progress) as advance:
        while removals := _removals_that_leave_a_link(order[-1], include_blocks=include_blocks):
            before = order[-1]
            order += greedy.small_steps(before, greedy.next_network(before, removals))
            advance(_removable_units(before, include_blocks) - _removable_units(order[-1], include_blocks))
    return order


def removal_order_by_importance(spec: HRNetSpec, importance: Mapping[Unit, float]) -> list[HRNetSpec]:
    """Return ever smaller networks, each without the least important unit, whatever that saves.

    With random importance this is random pruning, the control for `removal_order`.

    Args:
        spec: The network to start from.
        importance: Importance of each unit that may be removed.

    Returns:
        The networks, `spec` first. The last one has at least one link.
    """
    order = [spec]
    for unit in sorted(importance, key=lambda unit: (importance[unit], str(unit))):
        network = order[-1]
        built = unit in network.liveness().links if isinstance(unit, FusionLink) else unit in network.live_blocks
        if built and network.without({unit}).links:
            order.append(network.without({unit}))
    return order


def restore_units(
    spec: HRNetSpec, larger: HRNetSpec, importance: Mapping[Unit, float], cost: Cost, fits: Callable[[HRNetSpec], bool]
) -> HRNetSpec:
    """Restore removed units as long as the network fits, the most important per cost first.

    The last removal rarely meets a budget exactly, and it makes up for earlier removals that saved little.

    Args:
        spec: The pruned network.
        larger: The network that it was pruned from.
        importance: Importance of each unit that may be restored.
        cost: Cost of a network.
        fits: Whether a network is within the budget.
    """
    smallest_cost = SMALLEST_SAVING * cost(spec)
    while True:
        candidates = {unit: network for unit in importance if (network := _with_unit(spec, larger, unit)) and fits(network)}
        if not candidates:
            return spec
        current = cost(spec)
        rates = {unit: importance[unit] / max(cost(network) - current, smallest_cost) for unit, network in candidates.items()}
        spec = candidates[max(candidates, key=lambda unit: (rates[unit], str(unit)))]


def path_to(order: Sequence[HRNetSpec], goal: HRNetSpec) -> list[HRNetSpec]:
    """Return the networks of a removal order, each with the units that `goal` has: the steps that lead to `goal`."""
    path = [order[0]]
    for smaller in order[1:]:
        network = path[-1]
        links: frozenset[Unit] = network.links - smaller.links - goal.links
        blocks: frozenset[Unit] = (smaller.removed_blocks & goal.removed_blocks) - network.removed_blocks
        after = network.without(links | blocks)
        if after != network:
            path.append(after)
    return path


def _removals_that_leave_a_link(spec: HRNetSpec, *, include_blocks: bool) -> list[Removal]:
    removals = possible_removals(spec, include_blocks=include_blocks)
    return [removal for removal in removals if spec.without(removal).links]


def _removable_units(spec: HRNetSpec, include_blocks: bool) -> int:
    return len(spec.links) + (len(spec.live_blocks) if include_blocks else 0)


def _with_unit(spec: HRNetSpec, larger: HRNetSpec, unit: Unit) -> HRNetSpec | None:
    """`spec` with a removed unit of `larger`; None if it was not removed, or would not influence an output."""
    if isinstance(unit, FusionLink):
        restored = dataclasses.replace(spec, links=spec.links | {unit})
        return restored if unit in larger.links - spec.links and unit in restored.liveness().links else None
    restored = dataclasses.replace(spec, removed_blocks=spec.removed_blocks - {unit})
    return restored if unit in spec.removed_blocks - larger.removed_blocks and unit in restored.live_blocks else None


@dataclass(frozen=True)
class _GreedyChoice:
    """Chooses removals by importance per saved cost; `smallest` is the least importance that a unit counts with."""

    cost: Cost
    removal_importance: RemovalImportance
    smallest: float

    def next_network(self, spec: HRNetSpec, removals: Sequence[Removal]) -> HRNetSpec:
        """Return `spec` without the removal of least importance per saved cost."""
        current = self.cost(spec)
        smaller = {removal: spec.without(removal) for removal in removals}

        def importance_per_cost(removal: Removal) -> tuple[float, list[str]]:
            importance = max(self.removal_importance(spec, removal), self.smallest * len(removal))
            saved = current - self.cost(smaller[removal])
            return importance / max(saved, SMALLEST_SAVING * current), sorted(map(str, removal))

        return smaller[min(removals, key=importance_per_cost)]

    def small_steps(self, spec: HRNetSpec, smaller: HRNetSpec) -> list[HRNetSpec]:
        """Return the networks on the way from `spec` (excluded) to `smaller`, by the best removals that stop short of it."""
        steps, network = [], spec
        if smaller.removed_blocks == spec.removed_blocks:
            while removals := [part for part in possible_removals(network) if network.without(part).links > smaller.links]:
                step = self.next_network(network, removals)
                steps += self.small_steps(network, step)
                network = step
        return [*steps, smaller]
