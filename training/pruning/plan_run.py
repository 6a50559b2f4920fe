"""Plan what to remove from a run to meet a budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hrnet_tf.runs.pruning import Plan
from hrnet_tf.runs.ranking import RANKING_FILE, Ranking
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.typed import JsonObject
from training.config import run_settings
from training.pruning.budget import SHARES, Budget
from training.pruning.costs import Costs
from training.pruning.plan import EXACT, GREEDY, check_selection, is_random, plans_within, selection_for
from training.pruning.selection.importance import WIDTH_MULTIPLE, Importance
from training.ranking.data import RankingData
from training.ranking.gated_network import GatedNetwork
from training.ranking.task_data import TaskRankingData

SCORED_ITEMS = 300  # that the metric after each step is measured on
RERANKED_ITEMS = 192  # that importance is measured on again
TRIAL_EPOCHS = 3


@dataclass(frozen=True)
class PruneOptions:
    """How to prune.

    Attributes:
        budget: How much of the network to keep, relative to the full network.
        method: Importance method; None for the first of the ranking. The method "random" is a control: it removes single units
            in the order of its scores, whatever they save.
        include_blocks: Whether residual blocks may be removed too.
        profile: Files that `python -m mobile_eval profile` wrote on the target device: of the full network, and of any number of
            narrower ones. None to profile and measure latency on this machine.
        threads: Number of threads for measuring latency on this machine.
        rounds: Number of rounds of removing, fine-tuning and ranking.
        rerank: Whether to measure importance again, instead of summing the scores of the ranking: by a greedy selection after
            each removal, by an exact one on candidate networks, whose loss the importance is fitted to.
        accept_closest: Whether to take the closest network if none is within the budget.
        selection: "greedy" removes links and blocks by the least importance per saved cost; "exact" solves a mixed-integer
            program for the least importance in all.
        include_widths: Whether channels may be removed too, by an exact selection.
        width_multiple: Number of channels that widths are narrowed to multiples of.
        from_scratch: Whether the smaller network is trained from new weights, instead of fine-tuned from those that still have a
            place.
        trials: Number of networks within the budget that are trained for a few epochs, with ever fewer channels in stem and
            stage 1 (`training.pruning.trials`). The one with the lowest loss in training is kept.
        trial_epochs: Number of these epochs for each.
    """

    budget: Budget
    method: str | None = None
    include_blocks: bool = False
    profile: tuple[str, ...] | None = None
    threads: int = 1
    rounds: int = 1
    rerank: bool = False
    accept_closest: bool = False
    selection: str = GREEDY
    include_widths: bool = False
    width_multiple: int = WIDTH_MULTIPLE
    from_scratch: bool = False
    trials: int = 1
    trial_epochs: int = TRIAL_EPOCHS

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise HRNetError(f"`rounds` must be at least 1, got {self.rounds}")
        if self.rounds > 1 and self.budget.name not in SHARES:
            raise HRNetError(f"`max_drop` is measured before fine-tuning and needs `rounds` 1, got {self.rounds}")
        check_selection(self.selection, self.budget, self.width_multiple)
        if self.selection == GREEDY and self.include_widths:
            raise HRNetError("`include_widths` needs `selection` exact: a greedy one removes links and blocks only")
        for name in ("trials", "trial_epochs"):
            if getattr(self, name) < 1:
                raise HRNetError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        if self.trials > 1 and not self.include_widths:
            raise HRNetError("`trials` are networks of several widths: they need `selection` exact and `include_widths`")
        if self.trials > 1 and self.rounds > 1:
            raise HRNetError(f"`trials` need `rounds` 1, got {self.rounds}")

    @classmethod
    def for_ranking(
        cls,
        ranking: Ranking,
        budget: Budget,
        *,
        method: str | None = None,
        selection: str | None = None,
        include_blocks: bool | None = None,
        include_widths: bool | None = None,
        rerank: bool | None = None,
        **others: Any,
    ) -> PruneOptions:
        """Return the options that fit to what was ranked. What is given is kept.

        Args:
            ranking: The ranking of the run.
            budget: How much of the network to keep.
            method: Importance method; None for the first of the ranking.
            selection: None for "exact" if channels were ranked and may be removed.
            include_blocks: None if blocks were ranked.
            include_widths: None if channels were ranked, and the selection is exact.
            rerank: None for an exact selection, but by random importance.
            others: The other options.
        """
        selection = selection or selection_for(ranking, budget, include_widths=include_widths)
        is_exact = selection == EXACT
        return cls(
            budget,
            method,
            selection=selection,
            include_blocks=ranking.has_blocks if include_blocks is None else include_blocks,
            include_widths=is_exact and bool(ranking.channels) if include_widths is None else include_widths,
            rerank=is_exact and not is_random(ranking, method) if rerank is None else rerank,
            **others,
        )

    def to_json(self) -> JsonObject:
        """Return the options as plain data."""
        return {**dataclasses.asdict(self), "profile": self.profile and list(self.profile)}


def costs_of(run: Run, options: PruneOptions) -> Costs:
    """Return the costs of the networks that are pruned from a run."""
    spec, threads = run.hrnet_spec, options.threads
    return Costs(spec, options.budget.name, profile=options.profile, include_widths=options.include_widths, threads=threads)


def ranking_of(run: Run) -> Ranking:
    """Return the ranking of a run. Raises HRNetError if the run is quantized, or not ranked itself."""
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized; prune the run it came from: {run.parent_path}")
    if run.ranking.source_run:
        raise HRNetError(f"{run.path} has only the ranking of {run.ranking.source_run}: rank it with `{run.rank_command()}`")
    return run.ranking


def check_prunable(run: Run, options: PruneOptions) -> Importance:
    """Return the importance of what may be removed from a run. Raises HRNetError if it cannot be pruned with these options."""
    spec, ranking = run.hrnet_spec, ranking_of(run)
    blocks, widths = options.include_blocks, options.include_widths
    importance = Importance.of(ranking, options.method, include_blocks=blocks, include_widths=widths)
    importance.check(spec, f"{run.path / RANKING_FILE}", f"rank it again with `hrnet rank {run.path}`")
    if blocks and not ranking.has_blocks:
        raise HRNetError(f"the residual blocks of {run.path} were not ranked: run `{run.rank_command(include_blocks=True)}`")
    if widths and not importance.channels:
        command = run.rank_command(include_blocks=blocks, include_widths=True)
        raise HRNetError(f"the channels of {run.path} were not ranked: run `{command}`")
    if not spec.links:
        raise HRNetError(f"{run.path} has no fusion links left to remove")
    return importance


def plan_run(
    run: Run,
    options: PruneOptions,
    train: TaskDataset,
    val: TaskDataset | None,
    memory_budget: int = MEMORY_BUDGET,
) -> Plan:
    """Plan the pruning of a run, without trials (see `plans_of_run`).

    Raises:
        HRNetError: The run cannot be pruned, no network is within the budget, or trials would decide between several.
    """
    if options.trials > 1:
        raise HRNetError("`trials` decide by training, which a plan does without: leave it out, or prune")
    return next(plans_of_run(run, options, train, val, memory_budget=memory_budget))


def plans_of_run(
    run: Run,
    options: PruneOptions,
    train: TaskDataset,
    val: TaskDataset | None,
    costs: Costs | None = None,
    memory_budget: int = MEMORY_BUDGET,
    early_shares: Sequence[float] = (1.0,),
) -> Iterator[Plan]:
    """Plan the pruning of a run, for several largest widths of the layers before the branches.

    Args:
        run: A ranked run.
        options: The budget and the other options.
        train: Training set, on which importance is measured again if `options.rerank`.
        val: Validation set, on whose first items the metric is measured; None for the training set.
        costs: Costs of candidates, to share them between several plans.
        memory_budget: Memory for examples and activations, in bytes.
        early_shares: Largest shares of the channels of stem and stage 1, by an exact selection. The first one is 1.
    """
    spec, settings = run.hrnet_spec, run_settings(run)
    importance = check_prunable(run, options)
    network = GatedNetwork.of(run.model(), include_blocks=options.include_blocks)

    def first_items(data: TaskDataset, items: int) -> RankingData:
        return TaskRankingData.prepare(data.head(items), spec, settings, memory_budget, progress=True)

    return plans_within(
        options.budget,
        network,
        importance,
        costs or costs_of(run, options),
        selection=options.selection,
        width_multiple=options.width_multiple,
        accept_closest=options.accept_closest,
        at_random=is_random(run.ranking, options.method),
        data=first_items(val or train, SCORED_ITEMS),
        rerank_data=first_items(train, RERANKED_ITEMS) if options.rerank else None,
        early_shares=early_shares,
    )
