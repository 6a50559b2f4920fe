"""The order of removal: dead weight first, branches as a whole, at least one link left."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hrnet_tf.networks import complexity
from hrnet_tf.spec import BranchModule, FusionLink, HRNetSpec
from training.pruning import Budget, prune_to_latency, prune_to_links
from training.selection import keeping_alive, moves, removal_order


def test_removing_what_keeps_a_branch_alive_kills_it(spec: HRNetSpec) -> None:
    for branch in spec.liveness().branches:
        if branch.branch == 0:
            continue
        keeping = keeping_alive(spec, branch)
        assert branch not in spec.without(keeping).liveness().branches
        for link in keeping:  # and none of them is there in vain
            assert branch in spec.without(keeping - {link}).liveness().branches


def test_moves_are_single_links_and_branches(spec: HRNetSpec) -> None:
    assert {frozenset({link}) for link in spec.links} <= moves(spec)
    lowest = {link for link in spec.links if link.source == 2 and link.stage == 3} | {
        FusionLink(4, 0, 2, 0),
        FusionLink(4, 0, 3, 0),
    }
    assert keeping_alive(spec, BranchModule(3, 0, 2)) == lowest


def test_an_unneeded_branch_goes_first(spec: HRNetSpec) -> None:
    importance = dict.fromkeys(spec.links, 1.0)
    importance[FusionLink(4, 0, 3, 0)] = 0.0
    order = removal_order(spec, importance)
    assert order[0] == spec
    assert BranchModule(4, 0, 3) not in order[1].liveness().branches


def test_each_step_is_smaller_and_the_last_has_a_link(spec: HRNetSpec) -> None:
    rng = np.random.default_rng(0)
    order = removal_order(spec, {link: float(rng.random()) for link in spec.links})
    costs = [complexity(step).multiply_adds for step in order]
    assert all(after < before for before, after in itertools.pairwise(costs))
    assert all(after.links < before.links for before, after in itertools.pairwise(order))
    assert len(order[-1].links) >= 1


def test_a_link_that_was_not_ranked_is_named(spec: HRNetSpec) -> None:
    importance = dict.fromkeys(spec.links, 1.0)
    del importance[FusionLink(2, 0, 0, 1)]
    with pytest.raises(ValueError, match="stage2_module0_link0to1 was not ranked"):
        removal_order(spec, importance)


def test_a_large_step_is_taken_in_small_ones(spec: HRNetSpec) -> None:
    order = removal_order(spec, dict.fromkeys(spec.links, 1.0))
    for before, after in itertools.pairwise(order):
        reached = [before.without(move) for move in moves(before)]
        assert after in reached
        assert not any(before.links > step.links > after.links for step in reached)


def test_a_number_of_links(spec: HRNetSpec) -> None:
    order = removal_order(spec, dict.fromkeys(spec.links, 1.0))
    full = len(spec.links)
    for remove in range(1, full):
        chosen = prune_to_links(order, remove)
        assert full - len(chosen.links) >= remove
        assert full - len(order[order.index(chosen) - 1].links) < remove
    with pytest.raises(ValueError, match=f"cannot remove {full} of {full} links, no links left"):
        prune_to_links(order, full)


def test_a_share_of_the_latency_is_found_by_measuring(spec: HRNetSpec) -> None:
    order = removal_order(spec, dict.fromkeys(spec.links, 1.0))
    full = complexity(spec).multiply_adds
    measured = []

    def ratio(candidate: HRNetSpec) -> float:
        measured.append(candidate)
        return complexity(candidate).multiply_adds / full

    chosen, best = prune_to_latency(order, 0.8, ratio, say=lambda line: None)
    assert len(measured) <= 1 + len(order).bit_length()
    assert ratio(chosen) == best <= 0.8
    assert ratio(order[order.index(chosen) - 1]) > 0.8
    with pytest.raises(ValueError, match="links alone reach 0"):
        prune_to_latency(order, 0.01, ratio, say=lambda line: None)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({}, "either --keep-latency or --remove-links"),
        ({"keep_latency": 0.5, "remove_links": 3}, "either --keep-latency or --remove-links"),
        ({"keep_latency": 1.5}, "between 0 and 1, got 1.5"),
        ({"remove_links": 0}, "must be at least 1, got 0"),
    ],
)
def test_bad_budgets_are_refused(budget: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(**budget)
