"""Plan what to remove from a run to meet a budget."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from hrnet_tf.runs.pruning import Plan
from hrnet_tf.runs.ranking import RANKING_FILE, Ranking
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.memory import MEMORY_BUDGET
from hrnet_tf.spec.units import FusionLink
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.typed import JsonObject
from training.config import run_settings
from training.pruning.budget import SHARES, Budget
from training.pruning.budget_search import BudgetSearch
from training.pruning.costs import Costs
from training.pruning.plan import RANDOM, plan_removals
from training.pruning.removal_steps import LossIncrease
from training.ranking.data import RankingData
from training.ranking.gated_network import GatedNetwork
from training.ranking.scores import check_finite
from training.ranking.task_data import TaskRankingData

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


def costs_of(run: Run, options: PruneOptions) -> Costs:
    """Return the costs of the networks that are pruned from a run."""
    return Costs(run.hrnet_spec, options.budget.name, profile=options.profile, threads=options.threads)


def check_prunable(run: Run, options: PruneOptions) -> Ranking:
    """Return the ranking of a run. Raises HRNetError if the run cannot be pruned with these options."""
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized; prune the run it came from: {run.parent_path}")
    links = run.hrnet_spec.links
    ranking = run.ranking
    if ranking.source_run:
        raise HRNetError(f"{run.path} has only the ranking of {ranking.source_run}: rank it with `{run.rank_command()}`")
    importance = ranking.importance(options.method)
    check_finite(importance, f"{run.path / RANKING_FILE}", f"rank it again with `hrnet rank {run.path}`")
    if options.include_blocks and all(isinstance(unit, FusionLink) for unit in importance):
        raise HRNetError(f"the residual blocks of {run.path} were not ranked: run `{run.rank_command(include_blocks=True)}`")
    if not links:
        raise HRNetError(f"{run.path} has no fusion links left to remove")
    return ranking


def plan_run(
    run: Run,
    options: PruneOptions,
    train: TaskDataset,
    val: TaskDataset | None,
    costs: Costs | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> Plan:
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
    costs = costs or costs_of(run, options)

    def first_items(data: TaskDataset, items: int) -> RankingData:
        return TaskRankingData.prepare(data.head(items), spec, settings, memory_budget, progress=True)

    return plan_removals(
        network,
        importance,
        BudgetSearch(options.budget, costs.model, costs.latency_ratio, accept_closest=options.accept_closest),
        first_items(val or train, SCORED_ITEMS),
        at_random=options.method == RANDOM,
        removal_importance=LossIncrease(network, first_items(train, RERANKED_ITEMS)) if options.rerank else None,
    )
