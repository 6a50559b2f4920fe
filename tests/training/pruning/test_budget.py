"""Budgets: exactly one limit, the network that meets it, and errors where none does."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from training.pruning.budget import Budget
from training.pruning.budget_search import (
    BudgetSearch,
    UnreachableError,
    first_within_latency,
    first_within_share,
    steps_within_drop,
)
from training.pruning.cost_model import multiply_adds_cost_model
from training.pruning.plan_run import PruneOptions
from training.pruning.removal_order import removal_order

COUNTS = re.compile(r"(\d+) of (\d+) links")


def multiply_adds(spec: HRNetSpec) -> float:
    return complexity(spec).multiply_adds


def share(spec: HRNetSpec) -> float:
    return multiply_adds(spec) / multiply_adds(spec.full())


@pytest.fixture
def order(spec: HRNetSpec) -> list[HRNetSpec]:
    return removal_order(spec, dict.fromkeys(spec.links, 1.0), multiply_adds)


@pytest.mark.parametrize("budget", [0.95, 0.8, 0.7])
def test_first_network_within_a_share(order: list[HRNetSpec], budget: float) -> None:
    index = first_within_share(order, budget, share, "keep_macs")
    assert share(order[index]) <= budget < share(order[index - 1])


def test_unreachable_share(order: list[HRNetSpec]) -> None:
    with pytest.raises(UnreachableError, match=r"not 0\.1\b") as raised:
        first_within_share(order, 0.1, share, "keep_macs")
    assert raised.value.index == len(order) - 1
    assert raised.value.ratio == share(order[-1])
    assert raised.value.parameters == ("keep_macs", "include_blocks")


@pytest.mark.parametrize("error", [0.9, 1.0, 1.1])
def test_measuring_corrects_predictions(order: list[HRNetSpec], error: float) -> None:
    measured: list[HRNetSpec] = []

    def measure(spec: HRNetSpec) -> float:
        measured.append(spec)
        return share(spec) * (error if spec != order[0] else 1)

    index, ratio = first_within_latency(order, 0.75, share, measure)
    assert ratio == measure(order[index])
    assert ratio <= 0.75
    assert ratio >= 0.75 * 0.98 or measure(order[index - 1]) > 0.75
    assert len(measured) <= 8


def test_unreachable_latency(order: list[HRNetSpec]) -> None:
    least = share(order[-1])
    with pytest.raises(UnreachableError, match=r"not 0\.2\b") as raised:
        first_within_latency(order, 0.2, share, share)
    assert raised.value.ratio == least
    pessimistic = first_within_latency(order, least + 0.001, lambda spec: 2 * share(spec), share)
    assert pessimistic == (len(order) - 1, least)


def test_closest_network(spec: HRNetSpec, order: list[HRNetSpec]) -> None:
    model, last = multiply_adds_cost_model(spec), len(order) - 1
    with pytest.raises(UnreachableError):
        BudgetSearch(Budget(keep_macs=0.1), model, None).find(order)
    assert BudgetSearch(Budget(keep_macs=0.1), model, None, accept_closest=True).find(order) == (last, None)
    search = BudgetSearch(Budget(keep_latency=0.2), model, share, accept_closest=True)
    assert search.find(order) == (last, share(order[-1]))
    restored, _ = search.restore(order[-1], share(order[-1]), spec, dict.fromkeys(spec.links, 1.0), multiply_adds)
    assert restored == order[-1]


def test_steps_within_a_drop() -> None:
    assert steps_within_drop([0.0, 0.01, 0.05, 0.02], 0.02) == 2
    assert steps_within_drop([0.1], 0.02) == 0
    assert steps_within_drop([-0.1, 0.01], 0.02) == 2


def test_budgets_of_rounds() -> None:
    budget = Budget(keep_macs=0.4)
    assert [budget.for_round(number, 3).value for number in (1, 2, 3)] == pytest.approx([0.8, 0.6, 0.4])
    assert budget.for_round(3, 3) == budget


@pytest.mark.parametrize(
    ("budget", "parameters"),
    [
        ({}, ("keep_latency", "keep_macs", "keep_links", "max_drop")),
        ({"keep_latency": 0.5, "keep_links": 0.5}, ("keep_latency", "keep_macs", "keep_links", "max_drop")),
        ({"keep_latency": 1.5}, ("keep_latency",)),
        ({"max_drop": 0}, ("max_drop",)),
    ],
)
def test_bad_budgets(budget: dict[str, float], parameters: tuple[str, ...]) -> None:
    with pytest.raises(HRNetError) as raised:
        Budget(**budget)
    assert raised.value.parameters == parameters


def test_bad_rounds() -> None:
    with pytest.raises(HRNetError, match=r"`rounds`.* 0"):
        PruneOptions(Budget(keep_macs=0.5), rounds=0)
    with pytest.raises(HRNetError, match=r"`max_drop`.* 2"):
        PruneOptions(Budget(max_drop=0.5), rounds=2)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"include_widths": True}, ("include_widths", "selection")),
    ],
)
def test_options_that_only_one_selection_has(options: dict[str, Any], parameters: tuple[str, ...]) -> None:
    with pytest.raises(HRNetError) as raised:
        PruneOptions(Budget(keep_macs=0.5), **options)
    assert raised.value.parameters == parameters


@pytest.mark.parametrize("slowdown", [1.0, 2.0])
def test_restored_network_is_measured(
    order: list[HRNetSpec], spec: HRNetSpec, slowdown: float, caplog: pytest.LogCaptureFixture
) -> None:
    """The log counts the links of each measured network; a network that is too slow is not used."""
    pruned = order[len(order) // 2]
    measured: list[HRNetSpec] = []

    def latency_ratio(candidate: HRNetSpec) -> float:
        measured.append(candidate)
        return share(candidate) * slowdown

    search = BudgetSearch(Budget(keep_latency=0.95), multiply_adds_cost_model(spec), latency_ratio)
    with caplog.at_level(logging.INFO):
        restored, ratio = search.restore(pruned, share(pruned), spec, dict.fromkeys(spec.links, 1.0), multiply_adds)
    counts = [(int(links), int(possible)) for links, possible in COUNTS.findall(caplog.text)]
    assert counts == [(len(candidate.links), len(spec.possible_links)) for candidate in measured]
    if slowdown == 1:
        assert (restored, ratio) == (measured[0], share(measured[0]))
        assert len(measured) == 1
    else:
        assert (restored, ratio) == (pruned, share(pruned))
        assert 1 <= len(measured) <= 3
