"""Exact selections are those of an exhaustive search over all networks, and meet their limits."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pytest

from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from hrnet_tf.spec.units import FusionLink, ResidualBlock, Unit
from mobile_eval.errors import HRNetError
from training.pruning.cost_model import multiply_adds_cost_model
from training.pruning.selection.importance import Importance, levels
from training.pruning.selection.linear_program import InfeasibleError
from training.pruning.selection.select import Limit, Selector

SIZES = {"stem_width": 4, "stage1_blocks": 2, "stage1_width": 2}
MULTIPLE = 4


def network(*modules: int, width: int = 4, task: str = "pose") -> HRNetSpec:
    stages = tuple(StageSpec(count, 1) for count in modules)
    return HRNetSpec("micro", width, (32, 32), 5, stages, task=task, **SIZES).full()


def scores_of(spec: HRNetSpec, units: Iterable[Unit], groups: Iterable[str]) -> Importance:
    """Random importance, in which a channel counts less than a unit."""
    rng = np.random.default_rng(3)
    channels = {group: tuple(rng.uniform(0.01, 0.2, spec.width_of(group))) for group in groups}
    return Importance({unit: float(rng.uniform(0.1, 1)) for unit in units}, channels)


def links_and(spec: HRNetSpec, *blocks: ResidualBlock) -> list[Unit]:
    return [*sorted(spec.links), *blocks]


POSE, DEEP, DENSE = network(1, 1), network(1, 2), network(1, 1, task="segmentation")
WIDE = network(1, 1, width=8, task="segmentation")
CASES = {
    "links, blocks and widths": (
        POSE,
        links_and(POSE, ResidualBlock(1, 0, 0, 1), ResidualBlock(2, 0, 1, 0), ResidualBlock(3, 0, 2, 0)),
        ("branch1", "branch2", "stage1", "stage3_module0_branch1_block0_conv1"),
    ),
    "branches that become unreachable": (DEEP, links_and(DEEP), ("branch2",)),
    "a head that reads two narrowed branches": (
        DENSE,
        links_and(DENSE, ResidualBlock(2, 0, 0, 0))[2:],
        ("branch1", "branch2", "stage3_module0_link0to2_conv1"),
    ),
    "a head that reads three narrowed branches": (WIDE, (), ("branch0", "branch1", "branch2", "stem_conv1", "stem_conv2")),
}


def subsets(units: list[Unit]) -> Iterator[frozenset[Unit]]:
    for kept in itertools.product((False, True), repeat=len(units)):
        yield frozenset(unit for unit, keep in zip(units, kept, strict=True) if not keep)


def is_built(spec: HRNetSpec, group: str) -> bool:
    if group.startswith("branch"):
        return any(f"branch{place.branch}" == group for place in spec.liveness().branches)
    names = {str(unit) for unit in (*spec.liveness().links, *spec.live_blocks)}
    return group in ("stage1", "stem_conv1", "stem_conv2") or group.rpartition("_")[0] in names


def lost_units(spec: HRNetSpec, smaller: HRNetSpec, units: Mapping[Unit, float], removed: frozenset[Unit]) -> float:
    """Importance of the removed units that would influence an output if they alone came back."""
    lost = 0.0
    for unit in removed:
        if isinstance(unit, FusionLink):
            influences = unit in dataclasses.replace(smaller, links=smaller.links | {unit}).liveness().links
        else:
            influences = unit.stage == 1 or unit.place in smaller.liveness().branches
        lost += units[unit] if influences else 0.0
    return lost


def every_network(spec: HRNetSpec, importance: Importance) -> list[tuple[float, float, int]]:
    """Multiply-adds, lost importance and number of links of all networks that can be selected."""
    found = []
    for removed in subsets(sorted(importance.units, key=str)):
        smaller = spec.without(removed)
        if not smaller.links:
            continue
        lost = lost_units(spec, smaller, importance.units, removed)
        groups = [group for group in importance.channels if is_built(smaller, group)]
        for widths in itertools.product(*(levels(spec.width_of(group), MULTIPLE) for group in groups)):
            channels = [sorted(importance.channels[group])[:-width] for group, width in zip(groups, widths, strict=True)]
            narrow = smaller.with_widths(dict(zip(groups, widths, strict=True)))
            total = lost + math.fsum(itertools.chain(*channels))
            found.append((complexity(narrow).multiply_adds, total, len(narrow.links)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_selection_is_that_of_an_exhaustive_search(case: str) -> None:
    spec, units, groups = CASES[case]
    importance = scores_of(spec, units, groups)
    networks, full = every_network(spec, importance), complexity(spec).multiply_adds
    selector = Selector(spec, importance, multiply_adds_cost_model(spec), MULTIPLE, gap=0.0)
    smallest = min(multiply_adds for multiply_adds, _, _ in networks)
    assert selector.smallest.cost == smallest
    for share in np.linspace(smallest / full, 0.97, 6):
        limit = max(share * full, smallest)
        best = min(lost for multiply_adds, lost, _ in networks if multiply_adds <= limit)
        selection = selector.select(Limit(cost=limit))
        assert selection.cost == complexity(selection.spec).multiply_adds <= limit
        assert selection.lost == pytest.approx(best, rel=1e-6, abs=1e-9)
        assert selection.bound == pytest.approx(best, rel=1e-6, abs=1e-9)
        assert {group: len(kept) for group, kept in selection.channels.items()} == dict(selection.spec.widths)
        assert selection.spec.removed_blocks <= {*units}
    for links in sorted({count for _, _, count in networks}):
        best = min(lost for _, lost, count in networks if count <= links)
        assert selector.select(Limit(links=links)).lost == pytest.approx(best, rel=1e-6)
    with pytest.raises(InfeasibleError):
        selector.select(Limit(cost=smallest - 1))


def test_the_most_important_channels_are_kept() -> None:
    spec = network(1)
    importance = Importance({}, {"branch1": (0.5, 0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4)})
    selector = Selector(spec, importance, multiply_adds_cost_model(spec), MULTIPLE)
    selection = selector.select(Limit(cost=selector.smallest.cost))
    assert selection.channels == {"branch1": (0, 2, 4, 6)}
    assert selection.spec.width_of("branch1") == 4
    assert selection.lost == pytest.approx(1.0)


def test_blocks_of_unreachable_branches_are_not_removed() -> None:
    selector = Selector(DEEP, scores_of(DEEP, links_and(DEEP), ()), multiply_adds_cost_model(DEEP), MULTIPLE)
    selection = selector.select(Limit(cost=selector.smallest.cost))
    assert selection.spec.liveness().branches < DEEP.liveness().branches
    assert selection.spec.removed_blocks == frozenset()


def test_pareto_front() -> None:
    spec, units, groups = CASES["links, blocks and widths"]
    selector = Selector(spec, scores_of(spec, units, groups), multiply_adds_cost_model(spec), MULTIPLE)
    shares = (0.95, 0.85, 0.75)
    front = selector.pareto_front(shares)
    assert all(selection.cost <= share * selector.full_cost for selection, share in zip(front, shares, strict=True))
    assert 0 < front[0].lost <= front[1].lost < front[2].lost


def test_nothing_is_removed_for_nothing() -> None:
    spec = network(1)
    scores: dict[Unit, float] = dict.fromkeys(spec.links, -1.0)
    selector = Selector(spec, Importance(scores, {"branch1": (0.0,) * 8}), multiply_adds_cost_model(spec), MULTIPLE)
    assert selector.select(Limit(cost=selector.full_cost)).spec == spec


def test_widths() -> None:
    assert levels(32, 8) == (8, 16, 24, 32)
    assert levels(36, 16) == (16, 32, 36)
    assert levels(256, 1) == tuple(range(4, 257, 4))
    assert levels(5, 8) == (5,)


@pytest.mark.parametrize(
    ("importance", "message"),
    [
        (Importance({}, {"branch1": (0.5,) * 3}), r"3 scores of branch1, the network has 8 channels: rank"),
        (Importance({}, {"branch7": (0.5,)}), r"branch7, the network has no such group"),
        (Importance({}, {"branch1": (float("nan"),) * 8}), r"branch1 that is NaN"),
        (Importance({FusionLink(2, 0, 0, 1): float("inf")}), r"stage2_module0_link0to1"),
    ],
)
def test_bad_importance(importance: Importance, message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        importance.check(network(1), "ranking.json", "rank again")


def test_bad_multiple() -> None:
    spec = network(1)
    with pytest.raises(HRNetError, match=r"`width_multiple`.* 0"):
        Selector(spec, Importance({}), multiply_adds_cost_model(spec), 0)


def test_largest_widths_are_kept() -> None:
    importance = scores_of(POSE, links_and(POSE), ("stem_conv1", "stem_conv2", "branch1"))
    selector = Selector(POSE, importance, multiply_adds_cost_model(POSE), 2, widest={"stem_conv1": 2, "stem_conv2": 3})
    selection = selector.select(Limit())
    assert selection.spec.links == POSE.links
    assert [selection.spec.width_of(group) for group in ("stem_conv1", "stem_conv2", "branch1")] == [2, 2, 8]
    assert selection.channels == {group: importance.most_important(group, 2) for group in ("stem_conv1", "stem_conv2")}
    assert selection.lost == pytest.approx(sum(importance.lost(group, 2) for group in ("stem_conv1", "stem_conv2")))
