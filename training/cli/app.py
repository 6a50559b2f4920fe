"""The command line of training; heavy imports wait until a command runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.errors import HRNetError
from training.cli import options as given
from training.cli.task_options import with_given, with_task_settings

app = typer.Typer(no_args_is_help=True)


@app.command()
def people(
    output: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
    train_images: Annotated[int, typer.Option(help="Images to learn from.", min=1)] = 1200,
    val_images: Annotated[int, typer.Option(help="Images to measure on.", min=1)] = 200,
    image_size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels.")] = "192x160",
    task: Annotated[str, typer.Option(help="Draw the data of this task.")] = "pose",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Draw people with exact truth, as a data set of any task for trying things out.

    pose: joints; landmarks: faces; segmentation: parts of the body; classification: the side that a head shows; detection:
    people and heads.

    Example: [bold]hrnet people --train-images 1200 --val-images 200 --output people[/bold]
    """
    from hrnet_tf.spec.presets import parse_size
    from training.data.synthetic import write_synthetic_people

    write_synthetic_people(output, train_images, val_images, seed=seed, image_size=parse_size(image_size), task=task)
    typer.echo(f"people: {output}")


@app.command()
@with_task_settings
def train(
    model: Annotated[str, typer.Argument(help="A name from `hrnet models`, such as pose-small-v1.")],
    images: given.Images,
    output: given.Output,
    val_images: given.ValImages = None,
    train_annotations: given.TrainAnnotations = None,
    val_annotations: given.ValAnnotations = None,
    masks: given.Masks = None,
    val_masks: given.ValMasks = None,
    classes: given.Classes = None,
    category: given.Category = None,
    strict: given.Strict = False,
    exif: given.Exif = None,
    input_size: given.InputSize = None,
    width: given.Width = None,
    modules: given.Modules = None,
    blocks: given.Blocks = None,
    stem_width: given.StemWidth = None,
    stage1_blocks: given.Stage1Blocks = None,
    stage1_width: given.Stage1Width = None,
    head_width: given.HeadWidth = None,
    width_like: given.WidthLike = None,
    links_from: given.LinksFrom = None,
    init: Annotated[Path | None, typer.Option(help="Start from this run's weights, as far as they fit.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="Learn from this run's answers as well.")] = None,
    distill_weight: given.Distill = 0.5,
    recipe: given.Recipe = None,
    epochs: given.TotalEpochs = None,
    batch_size: given.Persons = None,
    optimizer: given.Optimizer = None,
    learning_rate: given.PeakRate = None,
    weight_decay: given.WeightDecay = None,
    schedule: given.Schedule = None,
    warmup_epochs: given.Warmup = None,
    lr_milestones: given.Drops = None,
    link_dropout: given.LinkDropout = None,
    precision: given.RecipePrecision = None,
    mixed_precision: given.Bfloat16 = None,
    accumulate: given.Accumulate = None,
    ema: given.Ema = None,
    freeze: given.Freeze = None,
    keep: given.Keep = "last",
    patience: given.Patience = 0,
    strategy: given.Strategy = "one",
    devices: given.DeviceCount = None,
    jit: given.Jit = False,
    tensorboard: given.TensorBoard = False,
    seed: given.Seed = 0,
    cache: given.Cache = None,
    memory_budget: given.MemoryBudget = "1GiB",
    resume: given.Resume = False,
    max_pixels: given.MaxPixels = None,
    *,
    settings: dict[str, object],
) -> None:
    """Train a network of any task with model.fit; the run keeps weights, history and a checkpoint after each epoch.

    Example: [bold]hrnet train pose-small-v1 --train-annotations train.json --val-annotations val.json
    --images images --input-size 128x96 --epochs 30 --output runs/full[/bold]
    """
    asked = dict(locals())
    from training.cli.train import train_as_asked

    train_as_asked(asked)


@app.command()
def rank(
    run: Annotated[Path, typer.Argument(help="A trained or pruned run.")],
    images: given.RunImages = None,
    annotations: given.Annotations = None,
    masks: given.Masks = None,
    classes: given.Classes = None,
    category: given.Category = None,
    strict: given.Strict = False,
    exif: given.Exif = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="leave-one-out (default), taylor, l0, l1, random, or all. Can be repeated; pruning uses the first."),
    ] = None,
    include_blocks: Annotated[bool, typer.Option("--blocks", help="Rank residual blocks too.")] = False,
    limit: Annotated[int, typer.Option(help="Number of items to measure on, the first of the data.", min=2)] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the method random.")] = 0,
    memory_budget: given.MemoryBudget = "1GiB",
    max_pixels: given.MaxPixels = None,
) -> None:
    """Measure how much a network needs each fusion link, by one or several methods. Writes ranking.json and ranking.svg.

    leave-one-out: increase of the loss without the link. taylor: gate times gradient. l0, l1: gates that learn to close.
    Each method is applied to two halves of the data, and the result includes how far the halves and the methods agree.

    Uses the training data of the run unless other data are given.

    Example: [bold]hrnet rank runs/full --method all[/bold]
    """
    from hrnet_tf.runs.run import load_run
    from hrnet_tf.spec.memory import parse_memory
    from mobile_eval.datasets.base import log_skipped
    from mobile_eval.tasks.registry import TASKS
    from training.cli.tables import show_ranking
    from training.data.sources import run_source
    from training.ranking.rank import METHODS, rank_run

    budget_bytes = parse_memory(memory_budget)
    loaded = load_run(run)
    asked = {"images": images, "annotations": annotations, "masks": masks, "classes": classes}
    source = run_source(loaded, {**asked, "category": category, "strict": strict, "exif": exif})
    data = TASKS[loaded.spec.task].load(source)
    log_skipped(source, data)
    methods = list(METHODS) if method == ["all"] else method or ["leave-one-out"]
    ranking = rank_run(loaded, data.head(limit), methods, include_blocks=include_blocks, seed=seed, memory_budget=budget_bytes)
    show_ranking(ranking)
    typer.echo(f"ranking: {loaded.path / 'ranking.json'}, picture: {loaded.path / 'ranking.svg'}")


@app.command()
def prune(
    run: Annotated[Path, typer.Argument(help="A ranked run.")],
    images: given.RunImages = None,
    output: Annotated[Path | None, typer.Option(help="Run folder to write.", show_default=False)] = None,
    keep_latency: Annotated[float | None, typer.Option(help="Share of the full network's latency to keep, such as 0.75.")] = None,
    keep_macs: Annotated[float | None, typer.Option(help="Share of the full network's multiply-adds to keep.")] = None,
    keep_links: Annotated[float | None, typer.Option(help="Share of the full network's fusion links to keep.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="Largest drop of the metric before fine-tuning, such as 0.01.")] = None,
    method: Annotated[
        str | None,
        typer.Option(help="Importance method, the ranking's first by default. random removes single links, whatever that saves."),
    ] = None,
    include_blocks: Annotated[bool, typer.Option("--blocks", help="Remove residual blocks too.")] = False,
    profile: Annotated[
        Path | None,
        typer.Option(help="File of `python -m mobile_eval profile` on the target; latency is measured here by default."),
    ] = None,
    threads: Annotated[int, typer.Option(help="Number of threads for measuring latency.", min=1)] = 1,
    rerank: given.Rerank = False,
    accept_closest: given.AcceptClosest = False,
    rounds: Annotated[int, typer.Option(help="Number of prune and fine-tune rounds, which share --epochs.", min=1)] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed; write nothing.")] = False,
    val_images: given.ValImages = None,
    train_annotations: given.TrainAnnotations = None,
    val_annotations: given.ValAnnotations = None,
    masks: given.Masks = None,
    val_masks: given.ValMasks = None,
    classes: given.Classes = None,
    category: given.Category = None,
    strict: given.Strict = False,
    exif: given.Exif = None,
    flip_pairs: given.FlipPairs = None,
    epochs: given.Epochs = 10,
    batch_size: given.BatchSize = 32,
    learning_rate: given.LearningRate = 5e-4,
    teacher: Annotated[Path | None, typer.Option(help="Run to distill from (knowledge distillation), RUN by default.")] = None,
    distill_weight: given.Distill = 0.5,
    sparsity: Annotated[float, typer.Option(help="Share of each convolution's weights to set to zero.")] = 0.0,
    precision: given.Precision = None,
    mixed_precision: given.MixedPrecision = None,
    seed: given.Seed = 1,
    memory_budget: given.MemoryBudget = "1GiB",
    resume: given.Resume = False,
    max_pixels: given.MaxPixels = None,
) -> None:
    """Remove the fusion links that a run needs least, and fine-tune the smaller network.

    Branches whose outputs are not used any more are removed too.

    Trains on the data of the run unless other data are given.

    Example: [bold]hrnet prune runs/full --keep-latency 0.75 --epochs 10 --output runs/pruned[/bold]
    """
    asked = dict(locals())
    from hrnet_tf.runs.run import load_run
    from hrnet_tf.spec.memory import parse_memory
    from training.cli.tables import show_dry_run
    from training.config import FLOAT32, asked_precision, fine_tuning_config
    from training.data.sources import run_sources
    from training.execution import Execution
    from training.pruning.budget import Budget
    from training.pruning.plan import PruneOptions
    from training.pruning.prune import prune as prune_run
    from training.pruning.prune import summary

    budget_bytes = parse_memory(memory_budget)
    parent = load_run(run)
    config = fine_tuning_config(parent, run_sources(parent, asked), epochs, batch_size, learning_rate, seed)
    chosen = asked_precision(precision, mixed_precision) or FLOAT32
    config = with_given(config, {"flip_pairs": flip_pairs})
    config = dataclasses.replace(config, precision=chosen, distill_weight=distill_weight, sparsity=sparsity)
    budget = Budget(keep_latency, keep_macs, keep_links, max_drop)
    options = PruneOptions(
        budget, method, include_blocks, str(profile) if profile else None, threads, rounds, rerank, accept_closest
    )
    if dry_run:
        show_dry_run(parent, options, config, budget_bytes)
        return
    if output is None:
        raise HRNetError("give `output`, the run folder to write, or `dry_run` to write nothing")
    taught_by, how = load_run(teacher) if teacher else None, Execution(memory_budget=budget_bytes)
    pruned = prune_run(parent, options, config, output, teacher=taught_by, execution=how, resume=resume)
    typer.echo(f"run: {pruned.path}, {summary(parent, pruned.hrnet_spec)}")


@app.command()
def quantize(
    run: Annotated[Path, typer.Argument(help="A trained or pruned run.")],
    output: given.Output,
    images: given.RunImages = None,
    val_images: given.ValImages = None,
    train_annotations: given.TrainAnnotations = None,
    val_annotations: given.ValAnnotations = None,
    masks: given.Masks = None,
    val_masks: given.ValMasks = None,
    classes: given.Classes = None,
    category: given.Category = None,
    strict: given.Strict = False,
    exif: given.Exif = None,
    flip_pairs: given.FlipPairs = None,
    epochs: given.Epochs = 3,
    batch_size: given.BatchSize = 32,
    learning_rate: given.LearningRate = 2e-5,
    seed: given.Seed = 2,
    memory_budget: given.MemoryBudget = "1GiB",
    resume: given.Resume = False,
    max_pixels: given.MaxPixels = None,
) -> None:
    """Tune a run quantization-aware (tensorflow-model-optimization), so that it loses little as int8.

    It learns from the data that the run was trained on, or from those given.

    Example: [bold]hrnet quantize runs/pruned --epochs 3 --output runs/pruned-qat[/bold]
    """
    asked = dict(locals())
    from hrnet_tf.backend.choice import check_tf_keras
    from hrnet_tf.models.quantization import QUANTIZATION
    from hrnet_tf.runs.run import load_run
    from hrnet_tf.spec.memory import parse_memory
    from training.config import fine_tuning_config
    from training.data.sources import run_sources
    from training.quantize import quantize as quantize_run

    check_tf_keras(QUANTIZATION)  # before the data are looked for
    budget_bytes = parse_memory(memory_budget)
    parent = load_run(run)
    config = fine_tuning_config(parent, run_sources(parent, asked), epochs, batch_size, learning_rate, seed)
    config = with_given(config, {"flip_pairs": flip_pairs})
    tuned = quantize_run(parent, config, output, resume=resume, memory_budget=budget_bytes)
    typer.echo(f"run: {tuned.path}")


@app.command()
def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Trained runs.", show_default=False)],
    output: Annotated[Path, typer.Option(help="PNG to write.")] = Path("curves.png"),
) -> None:
    """Draw the curves of one or several runs, loss, PCK and whatever else their history holds.

    Example: [bold]hrnet plot runs/full runs/pruned --output curves.png[/bold]
    """
    from hrnet_tf.runs.run import load_run
    from training.plotting import plot_runs

    typer.echo(f"curves: {plot_runs([load_run(run) for run in runs], output)}")
