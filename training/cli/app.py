"""The command line of training; heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mobile_eval.cli.declared import with_options, with_options_by_task
from mobile_eval.cli.help import Commands
from mobile_eval.cli.options import MaxPixels
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from training.cli.completion import complete_methods, complete_model, complete_recipe, task_of_model
from training.cli.options import (
    ExecutionOptions,
    NetworkOptions,
    Output,
    PlanOptions,
    Resume,
    config_options,
)
from training.data.options import TrainingData
from training.fine_tuning import PruneTuningOptions, QuantizeTuningOptions
from training.tasks.registry import TRAINING_TASKS

app = Commands()


@app.command(rich_help_panel="Train")
@with_options_by_task({task: config_options(task) for task in TRAINING_TASKS}, task_of_model)
@with_options
def train(
    model: Annotated[
        str, typer.Argument(help="Name of a model, see `hrnet models`, such as pose-small-v1.", autocompletion=complete_model)
    ],
    output: Output,
    data: TrainingData,
    network: NetworkOptions,
    options: dict[str, object],
    execution: ExecutionOptions,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Name of a recipe of the task, or a .yaml file. Default: by the model.",
            show_default=False,
            autocompletion=complete_recipe,
        ),
    ] = None,
    init: Annotated[Path | None, typer.Option(help="Run to start from: weights whose name and shape match are copied.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="Run to distill from (knowledge distillation).")] = None,
    resume: Resume = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Train a network of any task with model.fit. The run keeps weights, history and a checkpoint after each epoch.

    The recipe sets what is not given on the command line.

    Example: [bold]hrnet train pose-small-v1 --train-annotations train.json --val-annotations val.json
    --images images --input-size 128x96 --epochs 30 --output runs/full[/bold]
    """
    from hrnet_tf.runs.run import Run
    from mobile_eval.options import checked_options
    from training.data.sources import training_sources
    from training.recipe import TEACHER_WEIGHT, default_recipe, load_recipe, recipe_config, show_recipe
    from training.train import train as train_network

    how = execution.execution()
    spec = network.spec(model, output)
    recipe = recipe or default_recipe(spec)
    changes = checked_options(config_options(spec.task), options, spec.task)
    if teacher:
        changes.setdefault("distill_weight", TEACHER_WEIGHT)
    train_source, val_source = training_sources(spec.task, data)
    recipe_values = load_recipe(spec.task, recipe) if recipe else {}
    config = recipe_config(spec.task, recipe_values, train_source, val_source, {**changes, "devices": how.devices.count})
    if recipe and how.devices.is_chief:
        show_recipe(recipe, config)
    init_run, teacher_run = (Run.load(path) if path else None for path in (init, teacher))
    run = train_network(spec, config, output, init=init_run, teacher=teacher_run, execution=how, resume=resume)
    if how.devices.is_chief:
        typer.echo(f"run: {run.path}")


@app.command(rich_help_panel="Compress")
@with_options
def rank(
    run: Annotated[Path, typer.Argument(help="A trained or pruned run.")],
    source: DataSource,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="Importance method: taylor (default), leave-one-out, l0, l1, masks, random, or all. May be repeated; pruning "
            "goes by the first one.",
            autocompletion=complete_methods,
        ),
    ] = None,
    include_blocks: Annotated[bool, typer.Option("--blocks/--no-blocks", help="Rank residual blocks too.")] = True,
    include_widths: Annotated[
        bool | None,
        typer.Option("--widths/--no-widths", help="Rank the channels of each width group too. (default: with TensorFlow)"),
    ] = None,
    limit: Annotated[int, typer.Option(help="Number of items of the ranking set; the first ones are used.", min=2)] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the method random.")] = 0,
    memory_budget: Annotated[str, typer.Option(help="Memory for examples and activations, such as 512MiB.")] = "1GiB",
    max_pixels: MaxPixels = None,
) -> None:
    """Measure the importance of each fusion link, block and channel. Writes ranking.json and ranking.svg.

    leave-one-out: increase of the loss without the link. taylor: gate times gradient. l0, l1: learned gates.
    masks: taylor, fitted to the loss under random masks (slow).
    Each method is applied to two halves of the data, and the table shows how far the halves and the methods agree.

    The data are those that the run was trained on, or those given.

    Example: [bold]hrnet rank runs/full --method all[/bold]
    """
    from hrnet_tf.runs.run import Run
    from hrnet_tf.spec.memory import parse_memory
    from mobile_eval.datasets.base import log_skipped
    from mobile_eval.tasks.registry import TASKS
    from training.data.sources import run_source
    from training.ranking.rank import METHODS, rank_run

    budget_bytes = parse_memory(memory_budget)
    loaded = Run.load(run)
    ranking_source = run_source(loaded, source)
    data = TASKS[loaded.spec.task].load(ranking_source)
    log_skipped(ranking_source, data)
    names = list(METHODS) if methods == ["all"] else methods
    units: dict[str, Any] = {"include_blocks": include_blocks, "include_widths": include_widths}
    ranking = rank_run(loaded, data.head(limit), names, **units, seed=seed, memory_budget=budget_bytes)
    typer.echo(f"{ranking}\n")
    typer.echo(f"all of the ranking: {loaded.path / 'ranking.json'}, picture: {loaded.path / 'ranking.svg'}")


@app.command(rich_help_panel="Compress")
@with_options
def prune(
    run: Annotated[Path, typer.Argument(help="A ranked run.")],
    plan: PlanOptions,
    data: TrainingData,
    tuning: PruneTuningOptions,
    execution: ExecutionOptions,
    output: Annotated[Path | None, typer.Option(help="Folder of the run to write.", show_default=False)] = None,
    teacher: Annotated[Path | None, typer.Option(help="Run to distill from. Default: RUN.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed and saved; write nothing.")] = False,
    resume: Resume = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Remove the least important links, blocks and channels of a run, and fine-tune the smaller network.

    What no output can reach any more is removed too.

    The data are those that the run was trained on, or those given.

    Example: [bold]hrnet prune runs/full --keep-latency 0.75 --epochs 10 --output runs/pruned[/bold]
    """
    from hrnet_tf.runs.run import Run
    from training.config import fine_tuning_config
    from training.data.sources import run_sources
    from training.engine.inputs import load_data
    from training.pruning.plan_run import check_prunable, plan_run
    from training.pruning.prune_run import prune_run, summary

    how, parent = execution.execution(), Run.load(run)
    options = plan.prune_options(parent)
    config = fine_tuning_config(parent, *run_sources(parent, data), {**tuning.values(), "devices": how.devices.count})
    if dry_run:
        check_prunable(parent, options)  # before the data are loaded
        typer.echo(str(plan_run(parent, options, *load_data(config, parent.category), memory_budget=how.memory_budget)))
        return
    if output is None:
        raise HRNetError("give `output`, the folder of the run to write, or `dry_run`")
    teacher_run = Run.load(teacher) if teacher else None
    pruned = prune_run(parent, options, config, output, teacher=teacher_run, execution=how, resume=resume)
    typer.echo(f"run: {pruned.path}, {summary(parent, pruned.hrnet_spec)}")


@app.command(rich_help_panel="Compress")
@with_options
def quantize(
    run: Annotated[Path, typer.Argument(help="A trained or pruned run.")],
    output: Output,
    data: TrainingData,
    tuning: QuantizeTuningOptions,
    execution: ExecutionOptions,
    resume: Resume = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Fine-tune a run quantization-aware (tensorflow-model-optimization), so that it loses little accuracy as int8.

    The data are those that the run was trained on, or those given.

    Example: [bold]hrnet quantize runs/pruned --epochs 3 --output runs/pruned-qat[/bold]
    """
    from hrnet_tf.backend.choice import check_tf_keras
    from hrnet_tf.models.quantization import QUANTIZATION
    from hrnet_tf.runs.run import Run
    from training.config import fine_tuning_config
    from training.data.sources import run_sources
    from training.quantize import quantize_run

    check_tf_keras(QUANTIZATION)  # before looking for the data
    how, parent = execution.execution(), Run.load(run)
    config = fine_tuning_config(parent, *run_sources(parent, data), {**tuning.values(), "devices": how.devices.count})
    quantized = quantize_run(parent, config, output, execution=how, resume=resume)
    typer.echo(f"run: {quantized.path}")


@app.command(rich_help_panel="Train")
def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Trained runs.", show_default=False)],
    output: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("curves.png"),
) -> None:
    """Draw the training curves of one or several runs: loss, metric and everything else in their history.

    Example: [bold]hrnet plot runs/full runs/pruned --output curves.png[/bold]
    """
    from hrnet_tf.runs.run import Run
    from training.plotting import plot_runs

    typer.echo(f"curves: {plot_runs([Run.load(run) for run in runs], output)}")
