"""Remove the units a network needs least, take over the weights that still have a place, tune what is left.

In several rounds, if asked: remove a part, tune shortly, score again. Each round but the last is a run of its own
in the folder `rounds`, so that an interrupted pruning goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.runs.run import PRUNING, RUN, Ranking, Run, load_pruning, load_ranking, load_run, rank_command, save_ranking
from hrnet_tf.runs.weights import load_weights, set_model_weights
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from hrnet_tf.spec.network import FusionLink, HRNetSpec
from mobile_eval.benchmark.profile import ProfileResult, load_profile
from mobile_eval.datasets.base import TaskDataset, log_skipped
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_json, write_text
from mobile_eval.progress import tracked, working
from mobile_eval.viz.charts import removal_points, removal_svg
from mobile_eval.viz.link_diagram import link_diagram_svg
from training.config import TrainingConfig, run_settings
from training.data.examples import evaluation_batches
from training.engine.fit import build_for_training, build_teacher, check_category, fit, known_category, load_data
from training.engine.inputs import inputs_of
from training.engine.starting import ROUNDS, check_same, check_settings, check_startable
from training.execution import Execution
from training.optim.sparsity import SPARSITY
from training.pruning.batch_norm import LARGEST_BATCH, reestimate_batch_norm
from training.pruning.budget import SHARES, Budget, within_drop
from training.pruning.budget_search import BudgetSearch
from training.pruning.candidate_latency import LatencyRatio
from training.pruning.cost_model import CostModel, latency_cost_model, multiply_adds_cost_model, profile_full_network
from training.pruning.removal_order import Lost, removal_order, removal_order_by_importance, towards
from training.pruning.removal_steps import RemovalStep, counted, measure_steps, removal_steps_between
from training.pruning.rescoring import ITEMS as REASSESSED
from training.pruning.rescoring import LossIncrease
from training.ranking.data import GatedNetwork, RankingData
from training.ranking.rank import check_finite, rank_run
from training.tasks.registry import training_task

RANDOM = "random"  # the method by which units go one by one, whatever they save
HELD_ITEMS = 300  # the metric after each step is measured on so many
NORM_ITEMS = 512  # and BatchNorm's statistics are taken on so many


@dataclass(frozen=True)
class PruneOptions:
    """How to prune: the budget, the importance method (the ranking's first if None), and what may go besides links.

    The method random takes units one by one in its order, whatever they save: the control of the others.

    `profile` is a file of `python -m mobile_eval profile` on the target; without it latency is profiled and
    measured on this machine, with `threads`. `rounds` is how often to remove, tune and score again. With `reassess`, what a
    removal costs is measured on the network that the removals before it left, instead of summed up from the ranking. With
    `closest`, a budget that nothing reaches gets what comes closest.
    """

    budget: Budget
    method: str | None = None
    blocks: bool = False
    profile: str | None = None
    threads: int = 1
    rounds: int = 1
    reassess: bool = False
    closest: bool = False

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise HRNetError(f"`rounds` must be at least 1, got {self.rounds}")
        if self.rounds > 1 and self.budget.name not in SHARES:
            raise HRNetError("`max_drop` looks at the network before it is tuned: it goes with one round")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Plan:
    """What would go: the steps from the run's network to `spec`; loss and metric of the whole on the held items.

    `predicted_ratio` and `measured_ratio` (None where not measured) are of the full network's latency or, for
    other budgets, of its multiply-adds.
    """

    spec: HRNetSpec
    steps: tuple[RemovalStep, ...]
    cost_unit: str
    full_cost: float
    predicted_ratio: float
    measured_ratio: float | None
    full_loss: float
    full_score: float

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "spec"}
        return {**data, "steps": [step.to_json() for step in self.steps]}


def check_prunable(run: Run, options: PruneOptions) -> Ranking:
    """The run's ranking; HRNetError where the run cannot be pruned or the ranking lacks what is asked for."""
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized; prune the run it came from: {run.parent}")
    links = run.hrnet_spec.links
    ranking = load_ranking(run)
    if ranking.source_run:
        raise HRNetError(f"{run.path} has only the ranking of {ranking.source_run}: rank it with `{rank_command(run)}`")
    units = ranking.importance(options.method)
    check_finite(units, f"{run.path / 'ranking.json'}", f"rank it again with `hrnet rank {run.path}`")
    if options.blocks and all(isinstance(unit, FusionLink) for unit in units):
        raise HRNetError(f"the residual blocks of {run.path} were not ranked: run `{rank_command(run, blocks=True)}`")
    if not links:
        raise HRNetError(f"{run.path} has no fusion links left to remove")
    return ranking


def cost_model_for(run: Run, options: PruneOptions) -> CostModel:
    """Milliseconds where the budget is of latency, multiply-adds otherwise."""
    if options.budget.name != "keep_latency":
        return multiply_adds_cost_model(run.hrnet_spec)
    return latency_cost_model(run.hrnet_spec, _target(run, options))


def _target(run: Run, options: PruneOptions) -> ProfileResult:
    return load_profile(options.profile) if options.profile else profile_full_network(run.hrnet_spec, options.threads)


def plan(
    run: Run,
    options: PruneOptions,
    held: RankingData,
    table: CostModel,
    measured: Callable[[HRNetSpec], float] | None,
    say: Callable[[str], None] = print,
    lost: Lost | None = None,
) -> Plan:
    """Choose what goes, without touching the disk. `measured` is a candidate's latency over the full network's, if it can be.

    `lost` is what a move costs; without it, the ranking says.
    """
    spec, units = run.hrnet_spec, check_prunable(run, options).importance(options.method)
    importance = {unit: value for unit, value in units.items() if options.blocks or isinstance(unit, FusionLink)}
    full_cost = table.price(spec.full())
    blind = options.method == RANDOM
    with working("measuring what each removal costs", show=lost is not None):
        order = removal_order_by_importance(spec, importance) if blind else removal_order(spec, importance, table.price, lost)
    network, metric = GatedNetwork.of(spec, load_weights(run.weights_path)), training_task(spec.task).metric
    loss, score = held.measure(network.gated(), progress=True)
    search = BudgetSearch(options.budget, table, measured, say, closest=options.closest)
    index, ratio = search.first(order)
    worth = (lambda spec: 1.0) if blind else table.price
    chosen, ratio = search.filled_up(order[index], ratio, spec, importance, worth)
    way = towards(order[: index + 1], chosen)
    steps = removal_steps_between(way, importance, table.price, full_cost)
    if steps:
        steps = measure_steps(network, held, steps)
    if options.budget.name == "max_drop":
        drops = [None if step.score is None else metric.degradation(score, step.score) for step in steps]
        index = within_drop(drops, options.budget.value)
        way, steps = way[: index + 1], steps[:index]
        if not steps:
            raise HRNetError(
                f"the first removal already loses more than {options.budget.value:g} of {metric.name}; tune with a share"
            )
    return Plan(way[-1], tuple(steps), table.unit, full_cost, table.price(way[-1]) / full_cost, ratio, loss, score)


def prune(
    run: Run,
    options: PruneOptions,
    config: TrainingConfig,
    output: Path | str,
    *,
    teacher: Run | None = None,
    execution: Execution | None = None,
    resume: bool = False,
) -> Run:
    """Prune `run` to the budget and fine-tune; `output` gets pruning.json (what went, and why) beside the run's files.

    `teacher` (`run` itself if None) is asked where `config.distill` is above 0. The budget is a share of the
    network before anything was removed. Interrupted, it goes on with the choice it made. `execution` is that of the fine-tuning;
    its memory budget also bounds the examples and activations of the ranking set.
    """
    output, execution = Path(output), execution or Execution()
    if execution.devices.workers > 1:
        raise HRNetError("`strategy` multi-worker cannot be used for pruning: use one or mirrored")
    if config.sparsity:
        check_tf_keras(SPARSITY)
    check_startable(output, "prune", resume=resume)
    if config.epochs < options.rounds:
        raise HRNetError(f"{config.epochs} epochs are not enough for {options.rounds} rounds")
    check_prunable(run, options)
    train_data, val_data = load_data(config, run.category)
    check_category(run, train_data)
    log_skipped(config.train, train_data)
    log_skipped(config.val, val_data)
    load_weights(run.weights_path)
    pricing = _Pricing(run, options)
    at = run
    for number in range(1, options.rounds + 1):
        last = number == options.rounds
        folder = output if last else output / ROUNDS / str(number)
        if number > 1 and load_ranking(at).source_run:
            before = load_ranking(run)
            looked_at = train_data.head(before.items)
            rank_run(
                at, looked_at, before.methods, blocks=options.blocks, seed=before.seed, memory_budget=execution.memory_budget
            )
        part = dataclasses.replace(options, budget=options.budget.part(number, options.rounds))
        epochs = config.epochs // options.rounds + (config.epochs % options.rounds if last else 0)
        tuning = dataclasses.replace(config, epochs=epochs)
        data = train_data, val_data
        at = _prune_once(at, part, tuning, folder, pricing, teacher or run, data, execution, resume=resume)
    return at


class _Pricing:
    """The price table and the latency measurements of one pruning, made when first needed."""

    def __init__(self, run: Run, options: PruneOptions):
        self.run = run
        self.options = options
        self._table: CostModel | None = None
        self._ratio: LatencyRatio | None = None

    def table(self) -> CostModel:
        self._table = self._table or cost_model_for(self.run, self.options)
        return self._table

    def measured(self) -> Callable[[HRNetSpec], float] | None:
        """Measures on this machine, unless the target is another."""
        if self.options.budget.name != "keep_latency" or self.options.profile:
            return None
        self._ratio = self._ratio or LatencyRatio(self.run.hrnet_spec.full(), self.options.threads, progress=True)
        return self._ratio


def _prune_once(
    run: Run,
    options: PruneOptions,
    config: TrainingConfig,
    output: Path,
    pricing: _Pricing,
    teacher: Run,
    data: tuple[TaskDataset, TaskDataset | None],
    execution: Execution,
    *,
    resume: bool,
) -> Run:
    (train_data, val_data), memory_budget = data, execution.memory_budget
    check_startable(output, "prune", resume=resume)
    made = None if (output / RUN).is_file() else plan_run(run, options, train_data, val_data, pricing, memory_budget)
    spec = made.spec if made else chosen_before(output, options)
    inputs = inputs_of(config, train_data, val_data, parent=run, teacher=teacher if config.distill_weight else None)
    pruned = Run(output, "prune", spec, known_category(run, train_data), config.to_json(), str(run.path), inputs)
    check_same(pruned)
    with execution.devices.scope():
        model = build_for_training(spec, config)
        taught_by = build_teacher(teacher, config) if config.distill_weight else None
    set_model_weights(model, load_weights(run.weights_path))
    items, size = train_data.items[:NORM_ITEMS], batch_size_for(spec, memory_budget, most=LARGEST_BATCH)
    batches = evaluation_batches(items, size, spec, config.settings.geometry)
    reestimate_batch_norm(model, tracked(batches, "BatchNorm's statistics", math.ceil(len(items) / size)))
    companions = functools.partial(write_plan, made, run, options, output) if made else None
    fit(pruned, model, config, train_data, val_data, taught_by, execution, companions=companions)
    return pruned


def chosen_before(output: Path, options: PruneOptions) -> HRNetSpec:
    """The network that an interrupted pruning chose; HRNetError where it was asked for something else."""
    pruned = load_run(output)
    plan = load_pruning(pruned)
    if plan is None:
        raise HRNetError(f"{output} has no {PRUNING}, which says what was chosen; give another `output`")
    check_settings(output, plan["options"], options.to_json())
    return pruned.hrnet_spec


def write_plan(made: Plan, run: Run, options: PruneOptions, output: Path) -> None:
    """Leave pruning.json in `output`, and what it says as pictures: the links (links.svg) and the way (removal.svg)."""
    save_ranking(Run(output, "prune", made.spec, {}, {}), dataclasses.replace(load_ranking(run), source_run=str(run.path)))
    metric = training_task(made.spec.task).metric.name
    data = {"from": str(run.path), "options": options.to_json(), "metric": metric, **made.to_json()}
    write_json(output / PRUNING, data)
    links = {
        str(unit): value for unit, value in load_ranking(run).importance(options.method).items() if isinstance(unit, FusionLink)
    }
    write_text(output / "links.svg", link_diagram_svg(made.spec.network_description(), links))
    points = removal_points(made.full_score, data["steps"])
    write_text(output / "removal.svg", removal_svg(points, metric, made.cost_unit))


def plan_run(
    run: Run,
    options: PruneOptions,
    train: TaskDataset,
    val: TaskDataset | None,
    pricing: _Pricing | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> Plan:
    """The plan with the metric on the first of `val`, and latency measured on this machine unless a profile is given."""
    pricing, settings = pricing or _Pricing(run, options), run_settings(run)
    held = RankingData.prepare((val or train).head(HELD_ITEMS), run.spec, settings, memory_budget, progress=True)
    console, lost = Console(stderr=True), None
    if options.reassess:
        network = GatedNetwork.of(run.hrnet_spec, load_weights(run.weights_path), blocks=options.blocks)
        lost = LossIncrease(
            network, RankingData.prepare(train.head(REASSESSED), run.spec, settings, memory_budget, progress=True)
        )
    return plan(run, options, held, pricing.table(), pricing.measured(), console.print, lost)


def summary(run: Run, spec: HRNetSpec) -> str:
    """What is left of a run's network, in one line."""
    now, before = complexity(spec), complexity(run.hrnet_spec.full())
    return (
        f"{counted(spec)} kept, {now.multiply_adds / before.multiply_adds:.2f} of the multiply-adds, "
        f"{now.parameters / before.parameters:.2f} of the parameters"
    )
