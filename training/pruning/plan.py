"""Plan what to remove from a network to meet a budget."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass

from hrnet_tf.runs.pruning import RemovalPlan, RemovalStep
from hrnet_tf.runs.ranking import RANKING_FILE, Ranking, load_ranking, rank_command
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.memory import MEMORY_BUDGET
from hrnet_tf.spec.network import FusionLink, HRNetSpec, Unit
from mobile_eval.benchmark.profile import load_profile
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.metric import Metric
from mobile_eval.typed import JsonObject
from training.config import run_settings
from training.pruning.budget import SHARES, Budget
from training.pruning.budget_search import BudgetSearch, Ratio, steps_within_drop
from training.pruning.candidate_latency import LatencyRatio
from training.pruning.cost_model import CostModel, latency_cost_model, multiply_adds_cost_model, profile_full_network
from training.pruning.removal_order import RemovalImportance, path_to, removal_order, removal_order_by_importance
from training.pruning.removal_steps import LossIncrease, measure_steps, removal_steps
from training.ranking.data import RankingData
from training.ranking.gated_network import GatedNetwork
from training.ranking.scores import check_finite
from training.tasks.registry import training_task

RANDOM = "random"  # the method that removes units by importance alone
SCORED_ITEMS = 300  # that the metric after each step is measured on
RERANKED_ITEMS = 128  # that importance is measured on again after each removal


@dataclass(frozen=True)
class PruneOptions:
    """How to prune.

    Attributes:
        budget: How much of the network to keep, relative to the full network.
        method: Importance method; None for the first of the ranking. The method "random" is a control: it removes single units
            in the order of its scores, whatever they save.
        include_blocks: Whether residual blocks may be removed too.
        profile: File that `python -m mobile_eval profile` wrote on the target device. None to profile and measure latency on
            this machine.
        threads: Number of threads for measuring latency on this machine.
        rounds: Number of rounds of removing, fine-tuning and ranking.
        rerank: Whether to measure importance again after each removal, instead of summing the scores of the ranking.
        accept_closest: Whether to take the closest network if none is within the budget.
    """

    budget: Budget
    method: str | None = None
    include_blocks: bool = False
    profile: str | None = None
    threads: int = 1
    rounds: int = 1
    rerank: bool = False
    accept_closest: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise HRNetError(f"`rounds` must be at least 1, got {self.rounds}")
        if self.rounds > 1 and self.budget.name not in SHARES:
            raise HRNetError(f"`max_drop` is measured before fine-tuning and needs `rounds` 1, got {self.rounds}")

    def to_json(self) -> JsonObject:
        """Return the options as plain data."""
        return dataclasses.asdict(self)


class Costs:
    """Cost model and latency measurements for one pruning, each made when it is first needed.

    Args:
        spec: The network to prune.
        options: Choose between multiply-adds and latency, and where latency is measured.
    """

    def __init__(self, spec: HRNetSpec, options: PruneOptions):
        self.spec = spec
        self.options = options

    @functools.cached_property
    def model(self) -> CostModel:
        """Cost model in milliseconds for a budget of latency, in multiply-adds for others."""
        if self.options.budget.name != "keep_latency":
            return multiply_adds_cost_model(self.spec)
        if self.options.profile:
            return latency_cost_model(self.spec, load_profile(self.options.profile))
        return latency_cost_model(self.spec, profile_full_network(self.spec, self.options.threads))

    @functools.cached_property
    def latency_ratio(self) -> Ratio | None:
        """Measures a candidate's latency over that of the full network; None if the target is another device."""
        if self.options.budget.name != "keep_latency" or self.options.profile:
            return None
        return LatencyRatio(self.spec.full(), self.options.threads, progress=True)


def check_prunable(run: Run, options: PruneOptions) -> Ranking:
    """Return the ranking of a run. Raises HRNetError if the run cannot be pruned with these options."""
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized; prune the run it came from: {run.parent}")
    links = run.hrnet_spec.links
    ranking = load_ranking(run)
    if ranking.source_run:
        raise HRNetError(f"{run.path} has only the ranking of {ranking.source_run}: rank it with `{rank_command(run)}`")
    importance = ranking.importance(options.method)
    check_finite(importance, f"{run.path / RANKING_FILE}", f"rank it again with `hrnet rank {run.path}`")
    if options.include_blocks and all(isinstance(unit, FusionLink) for unit in importance):
        raise HRNetError(f"the residual blocks of {run.path} were not ranked: run `{rank_command(run, include_blocks=True)}`")
    if not links:
        raise HRNetError(f"{run.path} has no fusion links left to remove")
    return ranking


def plan_removals(
    network: GatedNetwork,
    importance: Mapping[Unit, float],
    data: RankingData,
    options: PruneOptions,
    costs: Costs,
    removal_importance: RemovalImportance | None = None,
) -> RemovalPlan:
    """Plan the removals that bring a network within a budget.

    Args:
        network: The trained network.
        importance: Importance of each unit that may be removed.
        data: Items to measure the loss and the metric on.
        options: The budget and the other options.
        costs: Costs of candidates.
        removal_importance: Importance of a removal; None for the sum of its units'.
    """
    spec, cost, metric = network.spec, costs.model.cost, training_task(network.spec.task).metric
    if options.method == RANDOM:
        order = removal_order_by_importance(spec, importance)
    else:
        order = removal_order(spec, importance, cost, removal_importance, progress=removal_importance is not None)
    loss, score = data.measure(network.build(), progress=True)
    search = BudgetSearch(options.budget, costs.model, costs.latency_ratio, accept_closest=options.accept_closest)
    index, ratio = search.find(order)
    pruned, ratio = search.restore(order[index], ratio, spec, importance, _constant if options.method == RANDOM else cost)
    full_cost = cost(spec.full())
    steps = measure_steps(network, data, removal_steps(path_to(order[: index + 1], pruned), importance, cost, full_cost))
    steps = _steps_within_budget(steps, score, metric, options.budget)
    return RemovalPlan(
        steps=tuple(steps),
        metric=metric.name,
        cost_unit=costs.model.unit,
        full_cost=full_cost,
        full_loss=loss,
        full_score=score,
        predicted_ratio=(steps[-1].cost if steps else cost(spec)) / full_cost,
        measured_ratio=ratio,
    )


def _constant(spec: HRNetSpec) -> float:
    return 1.0


def _steps_within_budget(steps: list[RemovalStep], score: float, metric: Metric, budget: Budget) -> list[RemovalStep]:
    """The first steps that keep to a budget of the metric; all steps for other budgets."""
    if budget.name != "max_drop":
        return steps
    drops = [None if step.score is None else metric.degradation(score, step.score) for step in steps]
    steps = steps[: steps_within_drop(drops, budget.value)]
    if not steps:
        raise HRNetError(
            f"the first removal already loses more than `max_drop` {budget.value:g} of {metric.name}; "
            "give a larger one, or a share of the network such as `keep_latency`"
        )
    return steps


def plan_run(
    run: Run,
    options: PruneOptions,
    train: TaskDataset,
    val: TaskDataset | None,
    costs: Costs | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> RemovalPlan:
    """Plan the pruning of a run.

    Args:
        run: A ranked run.
        options: The budget and the other options.
        train: Training set, on which importance is measured again if `options.rerank`.
        val: Validation set, on whose first items the metric is measured; None for the training set.
        costs: Costs of candidates, to share them between several plans.
        memory_budget: Memory for examples and activations, in bytes.
    """
    spec, settings = run.hrnet_spec, run_settings(run)
    importance = check_prunable(run, options).importance(options.method)
    if not options.include_blocks:
        importance = {unit: value for unit, value in importance.items() if isinstance(unit, FusionLink)}
    network = GatedNetwork.of(run.model(), include_blocks=options.include_blocks)

    def first_items(data: TaskDataset, items: int) -> RankingData:
        return RankingData.prepare(data.head(items), spec, settings, memory_budget, progress=True)

    data = first_items(val or train, SCORED_ITEMS)
    removal_importance = LossIncrease(network, first_items(train, RERANKED_ITEMS)) if options.rerank else None
    return plan_removals(network, importance, data, options, costs or Costs(spec, options), removal_importance)
