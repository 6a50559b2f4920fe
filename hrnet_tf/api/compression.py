"""From a trained network to a smaller one: rank, plan and prune."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from hrnet_tf.api.arguments import execution_of, find_run, fine_tuning, folder_of, optional_run, run_files
from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from hrnet_tf.api.arguments import RunOrPath
    from hrnet_tf.backend.types import Dataset as FitData
    from hrnet_tf.backend.types import KerasCallback, KerasLoss, KerasModel
    from hrnet_tf.runs.pruning import Plan
    from hrnet_tf.runs.ranking import Ranking
    from hrnet_tf.runs.run import Run
    from mobile_eval.benchmark.profile import ProfileResult
    from mobile_eval.datasets.base import TaskDataset
    from mobile_eval.files import AnyPath
    from training.data.datasets import Dataset
    from training.execution import Execution
    from training.pruning.plan_run import PruneOptions

BUDGETS = ("keep_latency", "keep_macs", "keep_links", "max_drop")


def rank(
    model: RunOrPath | KerasModel,
    data: Dataset | FitData | None = None,
    *,
    methods: str | Sequence[str] | None = None,
    loss: KerasLoss | None = None,
    include_blocks: bool = True,
    include_widths: bool | None = None,
    limit: int = 500,
    seed: int = 0,
    memory_budget: str | int = "1GiB",
) -> Ranking:
    """Measure how much a network needs each of its fusion links, residual blocks and channels. The network is not changed.

    Args:
        model: A trained functional Keras model that contains an HRNet, with any head. Or a run or its folder, which gets
            ranking.json and pictures.
        data: For a model, examples in anything that `fit` takes: a batched `tf.data.Dataset`, a `Sequence` or `PyDataset`, or
            arrays `(x, y[, sample_weight])`. For a run, a data set such as `CocoKeypoints`, whose training set is used; None for
            the one that the run was trained on.
        methods: One or several of "leave-one-out" (increase of the loss without the link), "taylor" (gate times gradient, which
            needs tf_keras), "l0" and "l1" (learned gates), "masks" (Taylor scores, fitted to the loss under random masks), and
            "random" as a control. Plans use the first by default. None for "taylor", with JAX for "leave-one-out".
        loss: For a model, anything that `compile` takes; None for the loss that it is compiled with.
        include_blocks: Whether to rank residual blocks too.
        include_widths: Whether to rank the channels of every width group too: all that can be removed together, such as the
            inner channels of a residual block. Every method measures them by Taylor expansion, which needs tf_keras, except
            "masks", which fits these scores too, and "random", which draws them. None: where TensorFlow is the backend.
        limit: Largest number of examples; the first ones are used.
        seed: Seed of the method "random".
        memory_budget: Memory for examples and activations, such as "1GiB" or a number of bytes.

    Returns:
        The importance of each link, and of each block and channel, by each method.

    Raises:
        HRNetError: The model contains no HRNet, is quantized or has no loss; the data do not fit to it, or are fewer than two
            examples; a method is unknown; or the loss is NaN or infinite.

    Example:
        >>> ranking = rank(model, validation_set, methods=["leave-one-out", "taylor"])  # doctest: +SKIP
        >>> print(ranking)  # doctest: +SKIP
        >>> rank("runs/full", limit=200).plot("links.svg")  # doctest: +SKIP
    """
    from hrnet_tf.spec.memory import parse_memory
    from mobile_eval.datasets.base import log_skipped
    from mobile_eval.tasks.registry import TASKS
    from training.data.sources import run_source
    from training.ranking import rank as ranking

    run = find_run(model)
    options: dict[str, Any] = {"include_blocks": include_blocks, "include_widths": include_widths, "seed": seed}
    options["memory_budget"] = parse_memory(str(memory_budget))
    if run is None:
        return ranking.rank(model, data, methods=methods, loss=loss, limit=limit, **options)
    if loss is not None:
        raise HRNetError(f"`loss` is for Keras models; {run.path} is ranked by the loss of its task")
    source = run_source(run, run_files(run, data).train)
    examples: TaskDataset = TASKS[run.spec.task].load(source)
    log_skipped(source, examples)
    return ranking.rank_run(run, examples.head(limit), methods, **options)


def plan(
    model: RunOrPath | KerasModel,
    ranking: Ranking | None = None,
    *,
    keep_latency: float | None = None,
    keep_macs: float | None = None,
    keep_links: float | None = None,
    max_drop: float | None = None,
    profile: AnyPath | ProfileResult | Sequence[AnyPath | ProfileResult] | None = None,
    method: str | None = None,
    selection: str | None = None,
    include_blocks: bool | None = None,
    include_widths: bool | None = None,
    width_multiple: int = 8,
    threads: int = 1,
    accept_closest: bool = False,
    rerank: bool | None = None,
    data: Dataset | FitData | None = None,
    loss: KerasLoss | None = None,
) -> Plan:
    """Plan which fusion links, blocks and channels of a network to remove to meet one of four budgets. Nothing is changed.

    What no output can reach any more is removed too. Budgets are relative to the full network, before anything was removed.

    Args:
        model: A functional Keras model that contains an HRNet, with any head; or a ranked run or its folder.
        ranking: For a model, what `rank` returned for it. A run has its own.
        keep_latency: Share of the latency to keep, between 0 and 1. Candidates are converted to int8 and measured on this
            machine, or predicted from `profile`.
        keep_macs: Share of the multiply-adds to keep, between 0 and 1.
        keep_links: Share of the fusion links to keep, between 0 and 1.
        max_drop: Largest loss of quality before any fine-tuning: for a model the relative increase of the loss on `data`, for a
            run the drop of the task's metric.
        profile: Profile of the full network on the target: a file that `hrnet profile` wrote. Or several, that one and those of
            narrower and pruned networks.
        method: Importance method of the ranking; None for the first. "random" is a control: a greedy selection removes single
            units in the order of their scores, whatever they save.
        selection: "greedy" removes links and blocks by the least importance per saved cost. "exact" solves a mixed-integer
            program for the least importance in all, of links, blocks and channels. None for "exact" if channels were ranked; of a
            model, if there are `data` too.
        include_blocks: For a run, whether residual blocks may be removed too; None if they were ranked. Of a model, those that
            were ranked may.
        include_widths: For a run, whether channels may be removed too, by an exact selection; None if they were ranked. Of a
            model, those that were ranked may.
        width_multiple: Number of channels that widths are narrowed to multiples of.
        threads: Number of threads for measuring latency on this machine.
        accept_closest: Whether to take the closest network if none is within the budget.
        rerank: Whether to measure importance again: after each removal (greedy), or on candidate networks (exact). For a model it
            needs `data`. None for an exact selection, where it can.
        data: For a model, a data set as for `fit`, to measure the loss after each step. For a run, a data set such as
            `CocoKeypoints`, to measure loss and metric; None for the one that the run was trained on.
        loss: For a model, the loss to measure; None for the one that it is compiled with.

    Returns:
        The steps, with what each of them saves and costs, for `prune`.

    Raises:
        HRNetError: Not exactly one budget is given, no network is within it, the ranking is of another model, the profile is of
            another network, or the model is quantized or contains no HRNet.

    Example:
        >>> removals = plan(model, ranking, keep_latency=0.7)  # doctest: +SKIP
        >>> print(removals)  # doctest: +SKIP
        >>> plan("runs/full", keep_macs=0.7).predicted_ratio  # doctest: +SKIP
        0.694
    """
    from training.pruning import plan as planning

    run = find_run(model)
    budget: dict[str, Any] = {
        "keep_latency": keep_latency,
        "keep_macs": keep_macs,
        "keep_links": keep_links,
        "max_drop": max_drop,
    }
    common: dict[str, Any] = {"method": method, "threads": threads, "accept_closest": accept_closest, "selection": selection}
    common |= {"width_multiple": width_multiple, "profile": _profiles(profile), "rerank": rerank}
    if run is None:
        if ranking is None:
            raise HRNetError("`ranking` of a Keras model is missing: give what `rank` returned for it")
        return planning.plan(model, ranking, **budget, data=data, loss=loss, **common)
    for name, value in (("ranking", ranking), ("loss", loss)):
        if value is not None:
            raise HRNetError(f"`{name}` is for Keras models; {run.path} has its own")
    return _plan_run(run, data, budget, {**common, "include_blocks": include_blocks, "include_widths": include_widths})


def _profiles(profile: object) -> Sequence[Any] | None:
    """One or several profiles or their files, with files as text or `Path`."""
    if profile is None:
        return None
    several = profile if isinstance(profile, list | tuple) else [profile]
    return [Path(item) if isinstance(item, os.PathLike) else item for item in several]


def _plan_run(run: Run, data: Dataset | None, budget: dict[str, Any], options: dict[str, Any]) -> Plan:
    from training.config import fine_tuning_config
    from training.data.sources import run_sources
    from training.engine.inputs import load_data
    from training.pruning.plan_run import check_prunable, plan_run

    prune_options = _prune_options(run, budget, options)
    check_prunable(run, prune_options)
    config = fine_tuning_config(run, *run_sources(run, run_files(run, data)), {})
    return plan_run(run, prune_options, *load_data(config, run.category))


def _prune_options(run: Run, budget: dict[str, Any], options: dict[str, Any]) -> PruneOptions:
    from training.pruning.budget import Budget
    from training.pruning.plan_run import PruneOptions, ranking_of

    profiles = _profiles(options.pop("profile", None))
    for profile in profiles or ():
        if not isinstance(profile, str | os.PathLike):
            raise HRNetError(f"`profile` of a run must be a file, which the new run refers to, got {type(profile).__name__}")
    files = None if profiles is None else tuple(map(str, profiles))
    return PruneOptions.for_ranking(ranking_of(run), Budget(**budget), profile=files, **options)


@overload
def prune(
    model: RunOrPath,
    data: Dataset | None = None,
    output: AnyPath = ...,
    *,
    keep_latency: float | None = None,
    keep_macs: float | None = None,
    keep_links: float | None = None,
    max_drop: float | None = None,
    profile: AnyPath | Sequence[AnyPath] | None = None,
    method: str | None = None,
    selection: str | None = None,
    include_blocks: bool | None = None,
    include_widths: bool | None = None,
    width_multiple: int = 8,
    threads: int = 1,
    accept_closest: bool = False,
    rounds: int = 1,
    rerank: bool | None = None,
    from_scratch: bool = False,
    teacher: RunOrPath | None = None,
    execution: Execution | None = None,
    callbacks: Sequence[KerasCallback] = (),
    resume: bool = False,
    **settings: object,
) -> Run: ...
@overload
def prune(model: KerasModel, plan: Plan, *, batch_norm_data: FitData | None = None) -> KerasModel: ...


def prune(  # type: ignore[misc]  # the second argument of a run is called data
    model: RunOrPath | KerasModel,
    plan: Any = None,
    output: AnyPath | None = None,
    *,
    data: Dataset | None = None,
    batch_norm_data: FitData | None = None,
    **options: Any,
) -> Run | KerasModel:
    """Return a smaller network, without the units that are needed least. A run is planned, pruned and fine-tuned.

    Args:
        model: The Keras model that was planned for, which is not changed; or a ranked run or its folder.
        plan: For a model, what `plan` returned.
        output: For a run, the folder of the new run. It gets pruning.json, links.svg and removal.svg beside the usual files.
        data: For a run, its second argument: a data set such as `CocoKeypoints`; None for the one that it was trained on.
        batch_norm_data: For a model, inputs to estimate the statistics of BatchNorm on again, such as a part of the training
            set: a data set as for `fit`, or an array of images. A sum that has lost a term has other statistics. None keeps the
            old ones, which a fine-tuning of some hundred steps replaces too.
        options: For a run, the budget and the other arguments of `plan`; `rounds` of removing, fine-tuning and ranking;
            `from_scratch`, to train the smaller network from new weights instead; `teacher`, a run to distill from instead of
            `model`; `execution`, `callbacks` and `resume` as of `train`; and settings of the fine-tuning such as `epochs` (10),
            `learning_rate` (5e-4) and `distill_weight` (0.5).

    Returns:
        For a model, a functional model with its inputs, outputs and name, not compiled: fine-tune it. For a run, the fine-tuned
        run.

    Raises:
        HRNetError: The plan is of another model; the model is quantized or contains no HRNet; the run is not ranked; no network
            is within the budget; or a setting or the folder cannot be used.

    Example:
        >>> smaller = prune(model, plan(model, ranking, keep_latency=0.7))  # doctest: +SKIP
        >>> run = prune("runs/full", data, "runs/pruned", keep_latency=0.75, epochs=10)  # doctest: +SKIP
    """
    from training.pruning import prune as pruning

    run = find_run(model)
    if run is not None:
        return _prune_run(run, plan if data is None else data, output, **options)
    for name, value in {"output": output, "data": data, **options}.items():
        if value is not None:
            raise HRNetError(f"`{name}` is for runs; a Keras model is pruned by a plan, and fine-tuned by `fit`")
    return pruning.prune(model, plan, batch_norm_data=batch_norm_data)


def _prune_run(
    run: Run,
    data: Dataset | None,
    output: AnyPath | None,
    *,
    teacher: RunOrPath | None = None,
    execution: Execution | None = None,
    callbacks: Sequence[KerasCallback] = (),
    resume: bool = False,
    **options: Any,
) -> Run:
    from training.fine_tuning import PruneTuningOptions
    from training.pruning.plan_run import PruneOptions
    from training.pruning.prune_run import prune_run

    choices = {field.name for field in dataclasses.fields(PruneOptions)} - {"budget"}
    plan_options = {name: options.pop(name) for name in choices & options.keys()}
    prune_options = _prune_options(run, {name: options.pop(name, None) for name in BUDGETS}, plan_options)
    how = execution_of(execution, callbacks)
    config = fine_tuning(run, data, how, {**PruneTuningOptions().values(), **options})
    folder, teacher_run = folder_of(output), optional_run(teacher, "teacher")
    return prune_run(run, prune_options, config, folder, teacher=teacher_run, execution=how, resume=resume)
