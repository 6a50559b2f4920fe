"""Budgets: exactly one, what of it is reached, and what is said where it cannot be."""

from __future__ import annotations

import pytest

from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from training.pruning.budget import Budget, UnreachableError, within_drop, within_latency, within_share
from training.pruning.budget_search import BudgetSearch
from training.pruning.cost_model import multiply_adds_cost_model
from training.pruning.prune import PruneOptions
from training.pruning.removal_order import removal_order


def multiply_adds(spec: HRNetSpec) -> float:
    return complexity(spec).multiply_adds


@pytest.fixture
def order(spec: HRNetSpec) -> list[HRNetSpec]:
    return removal_order(spec, dict.fromkeys(spec.links, 1.0), multiply_adds)


def share(spec: HRNetSpec) -> float:
    return multiply_adds(spec) / multiply_adds(spec.full())


def test_the_first_network_within_a_share(order: list[HRNetSpec]) -> None:
    for wanted in (0.95, 0.8, 0.7):
        index = within_share(order, wanted, share, "multiply-adds")
        assert share(order[index]) <= wanted < share(order[index - 1])
    with pytest.raises(HRNetError, match=r"reaches 0\.\d{3} of the full network's multiply-adds, not 0.1; .*`blocks`"):
        within_share(order, 0.1, share, "multiply-adds")


@pytest.mark.parametrize("error", [0.9, 1.0, 1.1])
def test_a_wrong_prediction_is_corrected_by_measuring(order: list[HRNetSpec], error: float) -> None:
    measured: list[HRNetSpec] = []

    def measure(spec: HRNetSpec) -> float:
        measured.append(spec)
        return share(spec) * (error if spec != order[0] else 1)

    index, found = within_latency(order, 0.75, share, measure, say=lambda line: None)
    assert found == measure(order[index])
    assert found <= 0.75
    assert found >= 0.75 * 0.98 or measure(order[index - 1]) > 0.75
    assert len(measured) <= 8


def test_a_latency_that_cannot_be_reached_says_what_can(order: list[HRNetSpec]) -> None:
    least = share(order[-1])
    with pytest.raises(HRNetError, match=rf"reaches {least:.3f} of the full network's latency, not 0.2"):
        within_latency(order, 0.2, share, share, say=lambda line: None)
    index, found = within_latency(order, least + 0.001, lambda spec: 2 * share(spec), share, say=lambda line: None)
    assert (index, found) == (len(order) - 1, least)  # though the predictions said it could not be


def test_the_closest_network_where_nothing_keeps_to_the_budget(spec: HRNetSpec, order: list[HRNetSpec]) -> None:
    table, said = multiply_adds_cost_model(spec), []
    with pytest.raises(UnreachableError, match=r"reaches 0\.\d{3}"):
        BudgetSearch(Budget(keep_macs=0.1), table, None, said.append).first(order)
    assert BudgetSearch(Budget(keep_macs=0.1), table, None, said.append, closest=True).first(order) == (len(order) - 1, None)
    search = BudgetSearch(Budget(keep_latency=0.2), table, share, said.append, closest=True)
    assert search.first(order) == (len(order) - 1, share(order[-1]))
    assert said[-1].endswith("not 0.2; one link at least stays, and `blocks` lets residual blocks go too; that is taken")
    assert search.filled_up(order[-1], share(order[-1]), spec, dict.fromkeys(spec.links, 1.0), multiply_adds)[0] == order[-1]


def test_a_drop_is_not_exceeded() -> None:
    assert within_drop([0.0, 0.01, 0.05, 0.02], 0.02) == 2
    assert within_drop([0.1], 0.02) == 0
    assert within_drop([-0.1, 0.01], 0.02) == 2


def test_rounds_come_nearer_step_by_step() -> None:
    budget = Budget(keep_macs=0.4)
    assert [budget.part(number, 3).value for number in (1, 2, 3)] == pytest.approx([0.8, 0.6, 0.4])
    assert budget.part(3, 3) == budget


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({}, "give one budget, of `keep_latency`, `keep_macs`, `keep_links`, `max_drop`; got none"),
        ({"keep_latency": 0.5, "keep_links": 0.5}, "got `keep_latency` and `keep_links`"),
        ({"keep_latency": 1.5}, "`keep_latency` must be between 0 and 1, got 1.5"),
        ({"max_drop": 0}, "`max_drop` must be between 0 and 1, got 0"),
    ],
)
def test_bad_budgets_are_refused(budget: dict[str, float], message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        Budget(**budget)


def test_bad_rounds_are_refused() -> None:
    with pytest.raises(HRNetError, match="`rounds` must be at least 1, got 0"):
        PruneOptions(Budget(keep_macs=0.5), rounds=0)
    with pytest.raises(HRNetError, match="goes with one round"):
        PruneOptions(Budget(max_drop=0.5), rounds=2)


@pytest.mark.parametrize("slower", [1.0, 2.0])
def test_what_is_said_of_giving_back_is_what_is_kept(order: list[HRNetSpec], spec: HRNetSpec, slower: float) -> None:
    """Networks with more given back are measured; the last line that says so, and no other, is of the network that is kept."""
    said: list[str] = []
    chosen = order[len(order) // 2]
    table = multiply_adds_cost_model(spec)
    search = BudgetSearch(Budget(keep_latency=0.95), table, lambda larger: share(larger) * slower, said.append)
    kept, _ = search.filled_up(chosen, share(chosen), spec, dict.fromkeys(spec.links, 1.0), multiply_adds)
    verdicts = [line.endswith(", kept") for line in said]
    assert verdicts == ([True] if slower == 1 else [False] * len(said))
    assert len(said) > 0
    if verdicts[-1]:
        assert said[-1].startswith(f"{len(kept.links)} of {len(spec.possible_links)} links with some given back")
    else:
        assert "over the budget of 0.95, not kept" in said[-1]
        assert kept == chosen
