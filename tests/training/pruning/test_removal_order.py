"""The order of removals: unneeded branches first, branches in small steps, at least one link left."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import BranchModule, FusionLink, Unit
from mobile_eval.errors import HRNetError
from training.pruning.removal_order import (
    links_keeping_branch_alive,
    path_to,
    possible_removals,
    removal_order,
    removal_order_by_importance,
    restore_units,
)


def multiply_adds(spec: HRNetSpec) -> float:
    return complexity(spec).multiply_adds


def test_links_keeping_a_branch_alive(spec: HRNetSpec) -> None:
    for branch in spec.liveness().branches:
        if branch.branch == 0:
            continue
        links = links_keeping_branch_alive(spec, branch)
        assert branch not in spec.without(links).liveness().branches
        for link in links:  # each of them is necessary
            assert branch in spec.without(links - {link}).liveness().branches


def test_possible_removals(spec: HRNetSpec) -> None:
    assert {frozenset({link}) for link in spec.links} <= possible_removals(spec)
    lowest = {link for link in spec.links if link.source == 2 and link.stage == 3} | {
        FusionLink(4, 0, 2, 0),
        FusionLink(4, 0, 3, 0),
    }
    assert links_keeping_branch_alive(spec, BranchModule(3, 0, 2)) == lowest


def test_unneeded_branch_is_removed_first(spec: HRNetSpec) -> None:
    importance: dict[Unit, float] = dict.fromkeys(spec.links, 1.0)
    importance[FusionLink(4, 0, 3, 0)] = 0.0
    order = removal_order(spec, importance, multiply_adds)
    assert order[0] == spec
    assert BranchModule(4, 0, 3) not in order[1].liveness().branches


def test_each_step_is_smaller_and_the_last_has_a_link(spec: HRNetSpec) -> None:
    rng = np.random.default_rng(0)
    order = removal_order(spec, {link: float(rng.random()) for link in spec.links}, multiply_adds)
    costs = [complexity(step).multiply_adds for step in order]
    assert all(after < before for before, after in itertools.pairwise(costs))
    assert all(after.links < before.links for before, after in itertools.pairwise(order))
    assert len(order[-1].links) >= 1


def test_missing_importance(spec: HRNetSpec) -> None:
    importance: dict[Unit, float] = dict.fromkeys(spec.links, 1.0)
    del importance[FusionLink(2, 0, 0, 1)]
    with pytest.raises(HRNetError, match="stage2_module0_link0to1"):
        removal_order(spec, importance, multiply_adds)


def test_large_steps_are_split(spec: HRNetSpec) -> None:
    order = removal_order(spec, dict.fromkeys(spec.links, 1.0), multiply_adds)
    for before, after in itertools.pairwise(order):
        reached = [before.without(removal) for removal in possible_removals(before)]
        assert after in reached
        assert not any(before.links > step.links > after.links for step in reached)


def test_most_expensive_link_is_removed_first(spec: HRNetSpec) -> None:
    expensive = FusionLink(2, 0, 0, 1)

    def cost(network: HRNetSpec) -> float:
        return 100.0 * (expensive in network.links) + len(network.links)

    order = removal_order(spec, dict.fromkeys(spec.links, 1.0), cost)
    assert order[0].links - order[1].links == {expensive}


def test_ranked_blocks_are_removed(spec: HRNetSpec) -> None:
    importance: dict[Unit, float] = dict.fromkeys((*spec.links, *spec.live_blocks), 1.0)
    order = removal_order(spec, importance, multiply_adds)
    for before, after in itertools.pairwise(order):
        assert (before.links > after.links) != (before.removed_blocks < after.removed_blocks)
    assert order[-1].live_blocks == frozenset()
    assert len(order[-1].links) >= 1
    links_only = removal_order(spec, dict.fromkeys(spec.links, 1.0), multiply_adds)
    assert multiply_adds(order[-1]) < multiply_adds(links_only[-1])
    assert not links_only[-1].removed_blocks


def test_removal_order_by_importance(spec: HRNetSpec) -> None:
    rng = np.random.default_rng(1)
    importance: dict[Unit, float] = {link: float(rng.random()) for link in sorted(spec.links)}
    order = removal_order_by_importance(spec, importance)
    removed: list[Unit] = []
    for before, after in itertools.pairwise(order):
        least = min(before.liveness().links & set(importance) - set(removed), key=lambda link: importance[link])
        if before.without({least}).links:
            assert after == before.without({least})
        removed.append(least)
    assert len(order[-1].links) >= 1
    assert order == removal_order_by_importance(spec, importance)


def test_units_that_fit_are_restored(spec: HRNetSpec) -> None:
    rng = np.random.default_rng(2)
    units = (*sorted(spec.links), *sorted(spec.live_blocks))
    importance: dict[Unit, float] = {unit: float(rng.random()) for unit in units}
    order = removal_order(spec, importance, multiply_adds)
    chosen = order[-2]
    budget = 1.2 * multiply_adds(chosen)
    larger = restore_units(chosen, spec, importance, multiply_adds, lambda network: multiply_adds(network) <= budget)
    assert larger.links >= chosen.links
    assert larger.removed_blocks <= chosen.removed_blocks
    assert multiply_adds(chosen) < multiply_adds(larger) <= budget
    assert larger.liveness().links == larger.links
    for unit in larger.removed_links & spec.links:  # nothing else fits
        extended = dataclasses.replace(larger, links=larger.links | {unit})
        assert multiply_adds(extended) > budget or unit not in extended.liveness().links
    assert restore_units(chosen, spec, importance, multiply_adds, lambda network: False) == chosen
    path = path_to(order[:-1], larger)
    assert (path[0], path[-1]) == (spec, larger)
    assert all(multiply_adds(after) < multiply_adds(before) for before, after in itertools.pairwise(path))
