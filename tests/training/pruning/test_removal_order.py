"""The order of removal: dead weight first, branches as a whole, at least one link left."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import BranchModule, FusionLink, HRNetSpec, Unit
from mobile_eval.errors import HRNetError
from training.pruning.removal_order import (
    links_keeping_branch_alive,
    moves,
    removal_order,
    removal_order_by_importance,
    restore_units,
    towards,
)


def multiply_adds(spec: HRNetSpec) -> float:
    return complexity(spec).multiply_adds


def test_removing_what_keeps_a_branch_alive_kills_it(spec: HRNetSpec) -> None:
    for branch in spec.liveness().branches:
        if branch.branch == 0:
            continue
        keeping = links_keeping_branch_alive(spec, branch)
        assert branch not in spec.without(keeping).liveness().branches
        for link in keeping:  # and none of them is there in vain
            assert branch in spec.without(keeping - {link}).liveness().branches


def test_moves_are_single_links_and_branches(spec: HRNetSpec) -> None:
    assert {frozenset({link}) for link in spec.links} <= moves(spec)
    lowest = {link for link in spec.links if link.source == 2 and link.stage == 3} | {
        FusionLink(4, 0, 2, 0),
        FusionLink(4, 0, 3, 0),
    }
    assert links_keeping_branch_alive(spec, BranchModule(3, 0, 2)) == lowest


def test_an_unneeded_branch_goes_first(spec: HRNetSpec) -> None:
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


def test_a_link_that_was_not_ranked_is_named(spec: HRNetSpec) -> None:
    importance: dict[Unit, float] = dict.fromkeys(spec.links, 1.0)
    del importance[FusionLink(2, 0, 0, 1)]
    with pytest.raises(HRNetError, match="stage2_module0_link0to1 was not ranked"):
        removal_order(spec, importance, multiply_adds)


def test_a_large_step_is_taken_in_small_ones(spec: HRNetSpec) -> None:
    order = removal_order(spec, dict.fromkeys(spec.links, 1.0), multiply_adds)
    for before, after in itertools.pairwise(order):
        reached = [before.without(move) for move in moves(before)]
        assert after in reached
        assert not any(before.links > step.links > after.links for step in reached)


def test_the_price_decides_what_goes_first(spec: HRNetSpec) -> None:
    dear = FusionLink(2, 0, 0, 1)
    order = removal_order(spec, dict.fromkeys(spec.links, 1.0), lambda at: 100.0 * (dear in at.links) + len(at.links))
    assert order[0].links - order[1].links == {dear}


def test_blocks_are_moves_where_they_are_ranked(spec: HRNetSpec) -> None:
    importance: dict[Unit, float] = dict.fromkeys((*spec.links, *spec.live_blocks), 1.0)
    order = removal_order(spec, importance, multiply_adds)
    for before, after in itertools.pairwise(order):
        assert (before.links > after.links) != (before.removed_blocks < after.removed_blocks)
    assert order[-1].live_blocks == frozenset()
    assert len(order[-1].links) >= 1
    links_only = removal_order(spec, dict.fromkeys(spec.links, 1.0), multiply_adds)
    assert multiply_adds(order[-1]) < multiply_adds(links_only[-1])
    assert not links_only[-1].removed_blocks


def test_one_by_one_goes_by_importance_alone(spec: HRNetSpec) -> None:
    rng = np.random.default_rng(1)
    importance: dict[Unit, float] = {link: float(rng.random()) for link in sorted(spec.links)}
    order = removal_order_by_importance(spec, importance)
    gone: list[Unit] = []
    for before, after in itertools.pairwise(order):
        next_one = min(before.liveness().links & set(importance) - set(gone), key=lambda link: importance[link])
        if before.without({next_one}).links:
            assert after == before.without({next_one})
        gone.append(next_one)
    assert len(order[-1].links) >= 1
    assert order == removal_order_by_importance(spec, importance)


def test_what_still_fits_is_given_back(spec: HRNetSpec) -> None:
    rng = np.random.default_rng(2)
    units = (*sorted(spec.links), *sorted(spec.live_blocks))
    importance: dict[Unit, float] = {unit: float(rng.random()) for unit in units}
    order = removal_order(spec, importance, multiply_adds)
    chosen = order[-2]
    most = 1.2 * multiply_adds(chosen)
    larger = restore_units(chosen, spec, importance, multiply_adds, lambda at: multiply_adds(at) <= most)
    assert larger.links >= chosen.links
    assert larger.removed_blocks <= chosen.removed_blocks
    assert multiply_adds(chosen) < multiply_adds(larger) <= most
    assert larger.liveness().links == larger.links
    for unit in larger.removed_links & spec.links:  # nothing more would fit
        again = dataclasses.replace(larger, links=larger.links | {unit})
        assert multiply_adds(again) > most or unit not in again.liveness().links
    assert restore_units(chosen, spec, importance, multiply_adds, lambda at: False) == chosen
    way = towards(order[:-1], larger)
    assert (way[0], way[-1]) == (spec, larger)
    assert all(multiply_adds(after) < multiply_adds(before) for before, after in itertools.pairwise(way))
