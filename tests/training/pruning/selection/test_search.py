"""Budgets of exact selections: met at once, by measuring and selecting again, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import Unit
from mobile_eval.errors import HRNetError
from training.pruning.budget import Budget
from training.pruning.cost_model import MULTIPLY_ADDS, CostModel, multiply_adds_cost_model
from training.pruning.selection.importance import Importance
from training.pruning.selection.search import ExactSearch
from training.pruning.selection.select import Selector


def share(spec: HRNetSpec) -> float:
    return complexity(spec).multiply_adds / complexity(spec.full()).multiply_adds


@pytest.fixture(scope="module")
def selector(spec: HRNetSpec) -> Selector:
    """Links, blocks and all widths of the micro network, with random importance."""
    rng = np.random.default_rng(0)
    units: dict[Unit, float] = {unit: float(rng.random()) for unit in (*sorted(spec.links), *sorted(spec.live_blocks))}
    channels = {group: tuple(rng.random(width) / width) for group, width in spec.full_widths.items()}
    return Selector(spec, Importance(units, channels), multiply_adds_cost_model(spec), width_multiple=2)


def test_budget_of_multiply_adds(selector: Selector) -> None:
    selection, measured, _ = ExactSearch(Budget(keep_macs=0.5), selector, None).find()
    assert 0.45 < share(selection.spec) <= 0.5
    assert measured is None
    assert selection.bound is not None
    assert selection.bound <= selection.lost <= 1.05 * selection.bound


def test_budget_of_links(selector: Selector) -> None:
    selection, *_ = ExactSearch(Budget(keep_links=0.5), selector, None).find()
    assert len(selection.spec.links) <= 0.5 * len(selector.spec.possible_links)
    assert selection.channels == {}
    with pytest.raises(HRNetError, match=r"`keep_links`.* 0\.0\d+ .*not 0\.01"):
        ExactSearch(Budget(keep_links=0.01), selector, None).find()


@pytest.mark.slow
@pytest.mark.parametrize("error", [0.9, 1.0, 1.1])
def test_measuring_corrects_predictions(selector: Selector, error: float) -> None:
    measured: list[HRNetSpec] = []

    def measure(spec: HRNetSpec) -> float:
        measured.append(spec)
        return share(spec) * error

    selection, ratio, _ = ExactSearch(Budget(keep_latency=0.5), selector, measure).find()
    assert ratio == share(selection.spec) * error
    assert 0.5 * 0.98 <= ratio <= 0.5
    assert len(measured) <= 3


def test_measured_networks_calibrate_the_cost_model(selector: Selector) -> None:
    """What no unit changes takes 0.3 of the latency: the second selection knows it."""
    full_cost = selector.full_cost
    calibrating: dict[HRNetSpec, float] = {}

    def calibrate(network: HRNetSpec, measured: float) -> CostModel:
        calibrating[network] = measured
        price = selector.cost_model.price
        return CostModel(MULTIPLY_ADDS, 0.3 * full_cost + 0.7 * selector.cost_model.fixed, lambda member: 0.7 * price(member))

    search = ExactSearch(Budget(keep_latency=0.6), selector, lambda spec: 0.3 + 0.7 * share(spec), calibrate=calibrate)
    selection, ratio, cost_model = search.find()
    assert len(calibrating) == 1
    assert ratio == pytest.approx(cost_model.cost(selection.spec) / cost_model.cost(selector.spec.full()))
    assert 0.6 * 0.98 <= ratio <= 0.6


def test_a_network_within_the_budget_is_kept_when_a_further_selection_fails(selector: Selector) -> None:
    """After the first measurement, everything seems to take longer than the budget."""

    def calibrate(network: HRNetSpec, measured: float) -> CostModel:
        return CostModel(MULTIPLY_ADDS, selector.full_cost, selector.cost_model.price)

    search = ExactSearch(Budget(keep_latency=0.5), selector, lambda spec: 0.9 * share(spec), calibrate=calibrate)
    selection, ratio, cost_model = search.find()
    assert ratio == 0.9 * share(selection.spec)
    assert cost_model is selector.cost_model


def test_the_smallest_network_exceeds_the_budget(selector: Selector) -> None:
    smallest = share(selector.smallest.spec)
    budget = Budget(keep_macs=0.9 * smallest)
    with pytest.raises(HRNetError, match=rf"`keep_macs`: pruning can reach {smallest:.3f} ") as raised:
        ExactSearch(budget, selector, None).find()
    assert raised.value.parameters == ("keep_macs",)
    closest, *_ = ExactSearch(budget, selector, None, accept_closest=True).find()
    assert closest == selector.smallest
    with pytest.raises(HRNetError, match=rf"`keep_latency`.* {smallest:.3f} "):
        ExactSearch(Budget(keep_latency=0.9 * smallest), selector, share).find()


def test_what_else_could_be_removed(spec: HRNetSpec) -> None:
    links = Selector(spec, Importance(dict.fromkeys(spec.links, 1.0)), multiply_adds_cost_model(spec))
    with pytest.raises(HRNetError) as raised:
        ExactSearch(Budget(keep_macs=0.05), links, None).find()
    assert raised.value.parameters == ("keep_macs", "include_blocks", "include_widths")
