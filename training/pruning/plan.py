"""Plan what to remove from a Keras model to meet a budget."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

from hrnet_tf.backend.types import Dataset, KerasLoss, KerasModel
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.models.trunk import hrnet_spec_of, is_quantized
from hrnet_tf.runs.pruning import Plan, RemovalStep
from hrnet_tf.runs.ranking import Ranking
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, Unit
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.metric import Metric
from training.pruning.budget import Budget
from training.pruning.budget_search import BudgetSearch, steps_within_drop
from training.pruning.candidate_latency import candidates_of
from training.pruning.cost_model import head_multiply_adds
from training.pruning.costs import Costs, Profiles
from training.pruning.removal_order import RemovalImportance, path_to, removal_order, removal_order_by_importance
from training.pruning.removal_steps import LossIncrease, measure_steps, removal_steps
from training.pruning.selection.candidates import Candidates
from training.pruning.selection.importance import WIDTH_MULTIPLE, Importance
from training.pruning.selection.search import ExactSearch
from training.pruning.selection.select import Selector
from training.ranking.data import RankingData
from training.ranking.gated_network import GatedNetwork
from training.ranking.keras_data import LOSS, KerasRankingData

RANDOM = "random"  # the method that removes units by importance alone
GREEDY, EXACT = "greedy", "exact"
SELECTIONS = (GREEDY, EXACT)
EARLY = ("stem", "stage1")  # parts before the branches


def plan(
    model: KerasModel,
    ranking: Ranking,
    *,
    keep_latency: float | None = None,
    keep_macs: float | None = None,
    keep_links: float | None = None,
    max_drop: float | None = None,
    profile: Profiles | None = None,
    method: str | None = None,
    selection: str | None = None,
    width_multiple: int = WIDTH_MULTIPLE,
    threads: int = 1,
    data: Dataset | None = None,
    loss: KerasLoss | None = None,
    accept_closest: bool = False,
    rerank: bool | None = None,
) -> Plan:
    """Plan which fusion links of a model to remove, and blocks and channels if these were ranked, to meet one of four budgets.

    What no output can reach any more is removed too. Nothing is changed: inspect the plan by `print(plan)` or `plan.plot()`, then
    give it to `prune`.

    Args:
        model: A functional Keras model that contains an HRNet, with any head. Budgets are relative to its full network, before
            anything was removed.
        ranking: Importance of the units of this model, by `rank`.
        keep_latency: Share of the latency to keep, between 0 and 1. Candidates are converted to int8 with untrained weights and
            measured on this machine, or predicted from `profile`.
        keep_macs: Share of the multiply-adds to keep, between 0 and 1, of convolutions and dense layers with those of the head.
        keep_links: Share of the fusion links to keep, between 0 and 1.
        max_drop: Largest relative increase of the loss on `data` before any fine-tuning, between 0 and 1.
        profile: Profile of the full network on the target device: a file that `python -m mobile_eval profile` wrote, or what
            `load_profile` returned. Or several, that one and those of narrower and pruned networks.
        method: Importance method of the ranking; None for the first. "random" is a control: a greedy selection removes single
            units in the order of their scores, whatever they save.
        selection: "greedy" removes links and blocks by the least importance per saved cost. "exact" solves a mixed-integer
            program for the least importance in all, of links, blocks and channels. None for "exact" if channels were ranked and
            there are `data`, on which candidates are measured.
        width_multiple: Number of channels that widths are narrowed to multiples of, by an exact selection.
        threads: Number of threads for measuring latency on this machine.
        data: Dataset as for `fit`, to measure the loss after each step; required by `max_drop`.
        loss: Loss by which it is measured; None for the loss that the model is compiled with.
        accept_closest: Whether to take the closest network if none is within the budget.
        rerank: Whether to measure importance again, on `data`: after each removal (greedy), or on candidate networks (exact).
            None for an exact selection with `data`.

    Raises:
        HRNetError: Not exactly one budget is given, no network is within it, the ranking is of another model, the profile is of
            another network, or the model is quantized or contains no HRNet.

    Example:
        >>> plan(model, ranking, keep_macs=0.7).predicted_ratio  # doctest: +SKIP
        0.694
    """
    budget = Budget(keep_latency, keep_macs, keep_links, max_drop)
    check_selection(selection, budget, width_multiple)
    spec = _prunable_spec(model)
    _check_ranking(ranking)
    selection = selection or (GREEDY if data is None else selection_for(ranking, budget))
    at_random = is_random(ranking, method)
    rerank = selection == EXACT and data is not None and not at_random if rerank is None else rerank
    importance = _importance(spec, ranking, method, include_widths=selection == EXACT)
    for name, needed in (("max_drop", budget.name == "max_drop"), ("rerank", rerank)):
        if needed and data is None:
            raise HRNetError(f"`{name}` needs `data`, a dataset as for `fit`, on which the loss is measured")
    network = GatedNetwork.of(model, include_blocks=any(not isinstance(unit, FusionLink) for unit in importance.units))
    costs = _costs_of(model, budget, profile, threads, include_widths=bool(importance.channels))
    examples = None if data is None else KerasRankingData.prepare(data, model, loss)
    plans = plans_within(
        budget,
        network,
        importance,
        costs,
        selection=selection,
        width_multiple=width_multiple,
        accept_closest=accept_closest,
        at_random=at_random,
        data=examples,
        rerank_data=examples if rerank else None,
    )
    return next(plans)


def plans_within(
    budget: Budget,
    network: GatedNetwork,
    importance: Importance,
    costs: Costs,
    *,
    selection: str,
    width_multiple: int,
    accept_closest: bool,
    at_random: bool,
    data: RankingData | None,
    rerank_data: RankingData | None,
    early_shares: Sequence[float] = (1.0,),
) -> Iterator[Plan]:
    """Plan what to remove from a network to meet a budget, for several largest widths of the layers before the branches.

    Args:
        budget: The budget.
        network: The trained network.
        importance: Importance of what may be removed.
        costs: Costs of candidates.
        selection: "greedy" or "exact".
        width_multiple: Number of channels that widths are multiples of.
        accept_closest: Whether to take the closest network if none is within the budget.
        at_random: Whether a greedy selection removes single units in the order of their importance, whatever they save.
        data: Examples to measure the loss and the metric on; None to leave them out.
        rerank_data: Examples to measure importance on again; None to trust the given one.
        early_shares: Largest shares of the channels of stem and stage 1 that an exact selection keeps. The first one is 1.

    Yields:
        A plan for each share; none where nothing is within the budget at a share below 1.

    Raises:
        HRNetError: No network is within the budget.
    """
    if selection == EXACT:
        candidates = Candidates(network, rerank_data, importance, progress=True) if rerank_data else None
        for share in early_shares:
            widest = early_widths(network.spec, share, width_multiple)
            selector = Selector(network.spec, importance, costs.model, width_multiple, widest=widest)
            exact = ExactSearch(budget, selector, costs.latency_ratio, accept_closest, candidates, costs.calibrate)
            try:
                yield plan_selection(network, exact, data)
            except HRNetError:
                if share == 1:
                    raise
        return
    search = BudgetSearch(budget, costs.model, costs.latency_ratio, accept_closest=accept_closest)
    increase = LossIncrease(network, rerank_data) if rerank_data else None
    yield plan_removals(network, importance.units, search, data, at_random=at_random, removal_importance=increase)


def early_widths(spec: HRNetSpec, share: float, multiple: int) -> dict[str, int]:
    """Return a share of the channels of the groups of stem and stage 1, rounded up to a multiple.

    Example:
        >>> from hrnet_tf.spec.presets import preset
        >>> early_widths(preset("pose-w32"), 0.35, 8)["stem_conv1"]
        24
    """
    early = {group: width for group, width in spec.full_widths.items() if group.startswith(EARLY)}
    return {group: math.ceil(share * width / multiple) * multiple for group, width in early.items()}


def _costs_of(model: KerasModel, budget: Budget, profile: Profiles | None, threads: int, *, include_widths: bool) -> Costs:
    """The costs of the networks that are pruned from a model."""
    spec, build = hrnet_spec_of(model), candidates_of(model)
    head = None if spec.head_kind == "detection" else head_multiply_adds(model)
    return Costs(spec, budget.name, build=build, head=head, include_widths=include_widths, profile=profile, threads=threads)


def selection_for(ranking: Ranking, budget: Budget, *, include_widths: bool | None = None) -> str:
    """Return the selection that fits to what was ranked: exact for channels, which a greedy one does not remove.

    Args:
        ranking: The ranking.
        budget: The budget. A greedy selection alone meets one of the metric.
        include_widths: Whether channels may be removed; None if they were ranked.
    """
    widths = bool(ranking.channels) if include_widths is None else include_widths
    return EXACT if widths and budget.name != "max_drop" else GREEDY


def is_random(ranking: Ranking, method: str | None) -> bool:
    """Return whether an importance method, or the first of a ranking, is the control that draws scores."""
    return (method or ranking.methods[0]) == RANDOM


def check_selection(selection: str | None, budget: Budget, width_multiple: int) -> None:
    """Raise HRNetError unless the options of a selection fit together."""
    if selection not in (None, *SELECTIONS):
        raise HRNetError(f"`selection` must be one of {', '.join(SELECTIONS)}, got {selection!r:.80}")
    if width_multiple < 1:
        raise HRNetError(f"`width_multiple` must be at least 1, got {width_multiple}")
    if selection == EXACT and budget.name == "max_drop":
        raise HRNetError("`max_drop` needs `selection` greedy, which measures the loss after each step; give a share to keep")


def _prunable_spec(model: KerasModel) -> HRNetSpec:
    spec = hrnet_spec_of(model)
    if is_quantized(model):
        raise HRNetError(f"`model` {model.name} is quantized; expected the model that it was made from")
    if not spec.links:
        raise HRNetError(f"`model` {model.name} has no fusion links left to remove")
    return spec


def _check_ranking(ranking: Ranking) -> None:
    if not isinstance(ranking, Ranking):
        raise HRNetError(f"`ranking` must be what `rank` returned, got {type(ranking).__name__}")


def _importance(spec: HRNetSpec, ranking: Ranking, method: str | None, *, include_widths: bool) -> Importance:
    """The importance of the links of a network, and of its blocks and channels if these were ranked."""
    importance = Importance.of(ranking, method, include_widths=include_widths)
    importance.check(spec, "`ranking`", "rank the model again")
    units: set[Unit] = {*spec.links}
    if any(not isinstance(unit, FusionLink) for unit in importance.units):
        units |= spec.live_blocks
    if different := units ^ set(importance.units):
        unit = min(map(str, different))
        has, lacks = ("the model", "the ranking") if unit in set(map(str, units)) else ("the ranking", "the model")
        raise HRNetError(f"`ranking` is of another model: {has} has {unit}, {lacks} does not; rank this model")
    return importance


def plan_removals(
    network: GatedNetwork,
    importance: Mapping[Unit, float],
    search: BudgetSearch,
    data: RankingData | None = None,
    *,
    at_random: bool = False,
    removal_importance: RemovalImportance | None = None,
) -> Plan:
    """Plan the removals that bring a network within a budget.

    Args:
        network: The trained network.
        importance: Importance of each unit that may be removed.
        search: The budget, and the costs of candidates.
        data: Examples to measure the loss and the metric on; None to leave them out.
        at_random: Whether to remove single units in the order of their importance, whatever they save.
        removal_importance: Importance of a removal; None for the sum of its units'.
    """
    spec, cost = network.spec, search.cost_model.cost
    if at_random:
        order = removal_order_by_importance(spec, importance)
    else:
        order = removal_order(spec, importance, cost, removal_importance, progress=removal_importance is not None)
    index, ratio = search.find(order)
    pruned, ratio = search.restore(order[index], ratio, spec, importance, _constant if at_random else cost)
    full_cost = cost(spec.full())
    steps = removal_steps(path_to(order[: index + 1], pruned), importance, cost, full_cost)
    named = {str(unit): value for unit, value in importance.items()}
    plan = Plan(spec, tuple(steps), named, search.cost_model.unit, cost(spec), full_cost, ratio)
    return plan if data is None else _measured(plan, network, data, measure_steps(network, data, steps), search.budget)


def plan_selection(network: GatedNetwork, search: ExactSearch, data: RankingData | None = None) -> Plan:
    """Plan the exact selection that brings a network within a budget.

    Args:
        network: The trained network.
        search: The budget, what may be removed, and the costs of candidates.
        data: Examples to measure the loss and the metric on; None to leave them out.
    """
    spec, units = network.spec, search.selector.importance.units
    selection, ratio, cost_model = search.find()
    cost, full_cost = cost_model.cost, cost_model.cost(spec.full())
    steps = removal_steps([spec, selection.spec], units, cost, full_cost)
    steps = [dataclasses.replace(step, importance=selection.lost) for step in steps]
    named = {str(unit): value for unit, value in units.items()}
    plan = Plan(
        spec, tuple(steps), named, cost_model.unit, cost(spec), full_cost, ratio,
        channels=dict(selection.channels), bound=selection.bound,
    )  # fmt: skip
    if data is None:
        return plan
    loss, score = data.measure(rebuild(network.model, plan.spec, channels=plan.channels, folded=True), progress=True)
    measured = [dataclasses.replace(step, loss=loss, score=score) for step in steps]
    return _measured(plan, network, data, measured, search.budget)


def _measured(plan: Plan, network: GatedNetwork, data: RankingData, steps: Sequence[RemovalStep], budget: Budget) -> Plan:
    """The plan with measured steps, up to the last one within a budget of the metric, and the loss and metric before them."""
    loss, score = data.measure(network.build(), progress=True)
    if budget.name == "max_drop":
        steps = _steps_within_drop(steps, score, data.metric, budget.value)
    if data.metric == LOSS:
        return dataclasses.replace(plan, steps=tuple(dataclasses.replace(step, score=None) for step in steps), model_loss=loss)
    return dataclasses.replace(plan, steps=tuple(steps), metric=data.metric.name, model_loss=loss, model_score=score)


def _constant(spec: HRNetSpec) -> float:
    return 1.0


def _steps_within_drop(steps: Sequence[RemovalStep], score: float, metric: Metric, max_drop: float) -> Sequence[RemovalStep]:
    """The first steps by which the metric becomes worse by at most `max_drop`, or the loss by that share of it."""
    scale = abs(score) if metric == LOSS else 1.0
    drops = [None if step.score is None else metric.degradation(score, step.score) for step in steps]
    steps = steps[: steps_within_drop(drops, max_drop * scale)]
    if not steps:
        raise HRNetError(
            f"the first removal already loses more than `max_drop` {max_drop:g} of the {metric.name}; "
            "give a larger one, or a share of the network such as `keep_latency`"
        )
    return steps
