"""Prune a run: remove the units that it needs least, and fine-tune the remaining weights or train new ones.

Pruning can be divided into rounds, each of which removes a part, fine-tunes briefly and ranks the units again. Each round but the
last is a run of its own in the folder `rounds`, so an interrupted pruning can be resumed.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hrnet_tf.backend.choice import check_same_keras, check_tf_keras
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.runs.history import read_history
from hrnet_tf.runs.pruning import PRUNING_FILE, Plan, PruningRecord, load_pruning, save_pruning, units_kept
from hrnet_tf.runs.ranking import Ranking, save_ranking
from hrnet_tf.runs.run import RUN_FILE, Run
from hrnet_tf.runs.weights import load_weights, model_weights, set_model_weights
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.memory import batch_size_for
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import TaskDataset, log_skipped
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_text
from mobile_eval.progress import tracked
from mobile_eval.viz.charts import removal_points, removal_svg
from training.config import TrainingConfig
from training.data.examples import evaluation_batches
from training.engine.fit import fit
from training.engine.inputs import check_category, inputs_of, known_category, load_data
from training.engine.networks import build_for_training, build_teacher, freeze
from training.engine.starting import ROUNDS, TRIALS, check_same, check_settings, check_startable
from training.execution import Execution, check_devices
from training.optim.sparsity import SPARSITY
from training.pruning.costs import Costs
from training.pruning.plan_run import PruneOptions, check_prunable, costs_of, plans_of_run
from training.pruning.prune import LARGEST_BATCH, prune
from training.pruning.trials import different_plans, early_shares
from training.ranking.rank import rank_run

logger = logging.getLogger(__name__)

BATCH_NORM_ITEMS = 512  # that BatchNorm's statistics are estimated on


def prune_run(
    run: Run,
    options: PruneOptions,
    config: TrainingConfig,
    output: Path | str,
    *,
    teacher: Run | None = None,
    execution: Execution | None = None,
    resume: bool = False,
) -> Run:
    """Prune a run, and fine-tune the smaller network or train it from scratch.

    Args:
        run: A ranked run.
        options: The budget, relative to the network before anything was removed, and how to choose.
        config: Settings of the training. Its epochs are divided among the rounds.
        output: Run folder to write. It gets pruning.json, links.svg and removal.svg beside the usual files.
        teacher: Run to distill from if `config.distill_weight` is above 0; None for `run` itself.
        execution: Devices, callbacks and memory.
        resume: Whether to continue an interrupted pruning. It keeps the choice that it made.

    Raises:
        HRNetError: The run cannot be pruned, the budget cannot be met, or `output` contains something else.
    """
    output, execution = Path(output), execution or Execution()
    ranking = _check_startable(run, options, config, output, execution, resume=resume)
    train_data, val_data = _load_data(run, config)
    rounds = _Rounds(train_data, val_data, costs_of(run, options), teacher or run, execution)
    pruned = run
    for number in range(1, options.rounds + 1):
        if number > 1:
            rounds.rank(pruned, ranking, include_blocks=options.include_blocks, include_widths=options.include_widths)
        last = number == options.rounds
        epochs = config.schedule.epochs // options.rounds + (config.schedule.epochs % options.rounds if last else 0)
        budget, from_scratch = options.budget.for_round(number, options.rounds), options.from_scratch and last
        round_options = dataclasses.replace(options, budget=budget, from_scratch=from_scratch)
        folder = output if last else output / ROUNDS / str(number)
        pruned = rounds.prune(pruned, round_options, config.replace(epochs=epochs), folder, resume=resume)
    return pruned


def _check_startable(
    run: Run, options: PruneOptions, config: TrainingConfig, output: Path, execution: Execution, *, resume: bool
) -> Ranking:
    """The ranking of the run. Raises HRNetError, before anything is loaded, if the pruning cannot start."""
    if execution.devices.workers > 1:
        raise HRNetError("`strategy` multi-worker cannot be used for pruning: use one or mirrored")
    check_same_keras(*execution.callbacks)
    check_devices(config, execution)
    if config.regularization.sparsity:
        check_tf_keras(SPARSITY)
    check_startable(output, "prune", resume=resume)
    if options.from_scratch and config.regularization.freeze:
        frozen = ", ".join(config.regularization.freeze)
        raise HRNetError(f"`freeze` {frozen} cannot be used with `from_scratch`: new weights would never be trained")
    if config.schedule.epochs < options.rounds:
        raise HRNetError(f"`epochs` must be at least `rounds`, {options.rounds}, got {config.schedule.epochs}")
    check_prunable(run, options)
    return run.ranking


def _load_data(run: Run, config: TrainingConfig) -> tuple[TaskDataset, TaskDataset | None]:
    train, val = load_data(config, run.category)
    check_category(run, train)
    log_skipped(config.data.train, train)
    log_skipped(config.data.val, val)
    load_weights(run.weights_path)  # damaged weights are reported before anything is written
    return train, val


@dataclass(frozen=True)
class _Rounds:
    """What all rounds of a pruning share."""

    train: TaskDataset
    val: TaskDataset | None
    costs: Costs
    teacher: Run
    execution: Execution

    def rank(self, run: Run, first: Ranking, *, include_blocks: bool, include_widths: bool) -> None:
        """Rank the run of a round as the first one was ranked, unless it has been done."""
        if run.ranking.source_run is None:
            return
        rank_run(
            run,
            self.train.head(first.items),
            first.methods,
            include_blocks=include_blocks,
            include_widths=include_widths,
            seed=first.seed,
            memory_budget=self.execution.memory_budget,
        )

    def prune(self, run: Run, options: PruneOptions, config: TrainingConfig, output: Path, *, resume: bool) -> Run:
        """Prune `run` once and fine-tune it, or resume the run in `output`."""
        check_startable(output, "prune", resume=resume)
        stored = _interrupted_plan(output, options) if (output / RUN_FILE).is_file() else None
        if stored:
            plan = stored
        elif options.trials > 1:
            plan = self._best_trial(run, options, config.replace(epochs=options.trial_epochs), output / TRIALS)
        else:
            plan = next(self._plans(run, options))
        return self._train(run, plan, options, config, output, is_new=stored is None)

    def _plans(self, run: Run, options: PruneOptions) -> Iterator[Plan]:
        """The plans of all trials, one after another."""
        shares, memory_budget = early_shares(options.trials), self.execution.memory_budget
        return plans_of_run(run, options, self.train, self.val, self.costs, memory_budget, shares)

    def _best_trial(self, run: Run, options: PruneOptions, config: TrainingConfig, folder: Path) -> Plan:
        """The plan of the trial with the lowest loss in training, after its last epoch. Trials that were begun are resumed."""
        numbers = itertools.takewhile(lambda number: (folder / str(number) / RUN_FILE).is_file(), itertools.count(1))
        begun = [_interrupted_plan(folder / str(number), options) for number in numbers]
        plans = functools.partial(self._plans, run, options)
        losses: list[tuple[float, Plan]] = []
        for number, plan in enumerate(different_plans(begun, plans, options.trials), 1):
            trial = self._train(run, plan, options, config, folder / str(number), is_new=number > len(begun))
            losses.append((read_history(trial.path)[-1]["loss"], plan))
            logger.info("trial %d: %s, loss %.4g", number, units_kept(plan.spec), losses[-1][0])
        return min(losses, key=lambda pair: pair[0])[1]

    def _train(self, run: Run, plan: Plan, options: PruneOptions, config: TrainingConfig, output: Path, *, is_new: bool) -> Run:
        """Train the network of a plan, or go on."""
        teacher = self.teacher if config.regularization.distill_weight else None
        inputs = inputs_of(config, self.train, self.val, parent=run, teacher=teacher)
        pruned = Run(output, "prune", plan.spec, known_category(run, self.train), config.to_json(), str(run.path), inputs)
        check_same(pruned)
        keras.utils.set_random_seed(config.seed)
        with self.execution.devices.scope():
            model = build_for_training(plan.spec, config)
            teacher_model = build_teacher(teacher, config) if teacher else None
        if not options.from_scratch:
            set_model_weights(model, model_weights(self._smaller_model(run, plan, config)))
        companions = functools.partial(_save_plan, plan, run, options, pruned)
        fit(pruned, model, config, self.train, self.val, teacher_model, self.execution, companions=companions if is_new else None)
        return pruned

    def _smaller_model(self, run: Run, plan: Plan, config: TrainingConfig) -> KerasModel:
        """The pruned model of a run, with statistics of BatchNorm from the training set except for frozen parts."""
        model = run.model()
        freeze(model, config.regularization.freeze)
        items = self.train.items[:BATCH_NORM_ITEMS]
        size = batch_size_for(plan.spec, self.execution.memory_budget, most=LARGEST_BATCH)
        batches = evaluation_batches(items, size, plan.spec, config.settings.geometry)
        return prune(model, plan, batch_norm_data=tracked(batches, "BatchNorm's statistics", math.ceil(len(items) / size)))


def summary(run: Run, spec: HRNetSpec) -> str:
    """Return how much of a run's full network `spec` keeps, in one line."""
    pruned, full = complexity(spec), complexity(run.hrnet_spec.full())
    return (
        f"{units_kept(spec)} kept, {pruned.multiply_adds / full.multiply_adds:.2f} of the multiply-adds, "
        f"{pruned.parameters / full.parameters:.2f} of the parameters"
    )


def _interrupted_plan(output: Path, options: PruneOptions) -> Plan:
    """The plan of an interrupted pruning. Raises HRNetError if its options were others."""
    pruned = Run.load(output)
    record = load_pruning(pruned)
    if record is None:
        raise HRNetError(f"{output} has no {PRUNING_FILE} with the choice to resume; give another `output`")
    not_written_by_earlier_versions = {name: getattr(PruneOptions, name) for name in ("from_scratch", "trials", "trial_epochs")}
    check_settings(output, {**not_written_by_earlier_versions, **record.options}, options.to_json())
    return record.plan


def _save_plan(plan: Plan, run: Run, options: PruneOptions, pruned: Run) -> None:
    """Write pruning.json, ranking.json, and pictures of the links and of the removal steps."""
    save_ranking(pruned.path, dataclasses.replace(run.ranking, source_run=str(run.path)))
    save_pruning(pruned, PruningRecord(str(run.path), options.to_json(), plan))
    plan.plot(pruned.path / "links.svg")
    if plan.metric is not None and plan.model_score is not None:
        points = removal_points(plan.model_score, [step.to_json() for step in plan.steps])
        write_text(pruned.path / "removal.svg", removal_svg(points, plan.metric, plan.cost_unit))
