"""The command line of training; heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hrnet_tf.networks import Network
    from training.config import TrainingConfig

app = typer.Typer(no_args_is_help=True)

TrainAnnotations = Annotated[Path, typer.Option(help="COCO keypoint JSON to learn from.", show_default=False)]
ValAnnotations = Annotated[Path | None, typer.Option(help="COCO keypoint JSON to measure PCK on after each epoch.")]
Images = Annotated[Path, typer.Option(help="Folder of the images that the annotations name.", show_default=False)]
ValImages = Annotated[Path | None, typer.Option(help="Folder of the validation images, if another.")]
Epochs = Annotated[int, typer.Option(help="Passes over the training data.", min=1)]
BatchSize = Annotated[int, typer.Option(help="Persons a step.", min=1)]
LearningRate = Annotated[float, typer.Option(help="Adam's peak learning rate (cosine to zero).")]
Sigma = Annotated[float, typer.Option(help="Gaussian targets' standard deviation, in heatmap pixels.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
MixedPrecision = Annotated[
    bool,
    typer.Option("--mixed-precision", help="bfloat16 arithmetic: faster where the processor has it (AVX512-BF16, AMX, GPUs)."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --output.")]
Distill = Annotated[float, typer.Option(help="The teacher's share of what is learnt; the rest is the annotations'.")]
Output = Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)]


@app.command()
def people(
    output: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
    train_images: Annotated[int, typer.Option(help="Images to learn from.", min=1)] = 1200,
    val_images: Annotated[int, typer.Option(help="Images to measure on.", min=1)] = 200,
    image_size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels.")] = "192x160",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Draw people with exact joints, as a COCO keypoint data set for trying things out.

    Example: [bold]hrnet people --train-images 1200 --val-images 200 --output people[/bold]
    """
    from hrnet_tf.presets import parse_size
    from training.synthetic import write_synthetic_people

    write_synthetic_people(output, train_images, val_images, seed=seed, image_size=parse_size(image_size))
    typer.echo(f"people: {output}")


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="A name from `hrnet models`, such as pose-small-v1.")],
    train_annotations: TrainAnnotations,
    images: Images,
    output: Output,
    val_annotations: ValAnnotations = None,
    val_images: ValImages = None,
    input_size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels, multiples of 32.")] = "256x192",
    width: Annotated[int | None, typer.Option(help="Channels of the first branch, if not the model's own.", min=1)] = None,
    modules: Annotated[str | None, typer.Option(help="Modules of stages 2, 3, 4, such as 1,4,3.")] = None,
    blocks: Annotated[int | None, typer.Option(help="Residual blocks in each branch of a module.", min=1)] = None,
    stem_width: Annotated[int | None, typer.Option(help="Channels of the stem.", min=1)] = None,
    stage1_blocks: Annotated[int | None, typer.Option(help="Bottleneck blocks of stage 1.", min=1)] = None,
    stage1_width: Annotated[int | None, typer.Option(help="Inner channels of those (they put out 4 times that).", min=1)] = None,
    width_like: Annotated[
        Path | None,
        typer.Option(help="Be so narrow, stem and all, that it is as fast (int8, here) as this run's network."),
    ] = None,
    links_from: Annotated[Path | None, typer.Option(help="Have only the links and blocks that this run has.")] = None,
    init: Annotated[Path | None, typer.Option(help="Start from this run's weights, as far as they fit.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="Learn from this run's heatmaps as well.")] = None,
    distill: Distill = 0.5,
    epochs: Epochs = 210,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 1e-3,
    sigma: Sigma = 2.0,
    rotation: Annotated[float, typer.Option(help="Random rotation, standard deviation in degrees.")] = 45.0,
    scale: Annotated[float, typer.Option(help="Random zoom, standard deviation.")] = 0.35,
    link_dropout: Annotated[
        float, typer.Option(help="Leave each link out of an image with this chance, so that pruning needs less recovery.")
    ] = 0.0,
    mixed_precision: MixedPrecision = False,
    seed: Seed = 0,
    resume: Resume = False,
) -> None:
    """Train a network with model.fit; the run keeps weights, history and a checkpoint after each epoch.

    Example: [bold]hrnet train pose-small-v1 --train-annotations train.json --val-annotations val.json
    --images images --input-size 128x96 --epochs 30 --output runs/full[/bold]
    """
    from hrnet_tf.runs import load_run
    from training.config import TrainingConfig
    from training.train import train as train_network

    sizes = {"width": width, "modules": modules, "blocks": blocks}
    sizes |= {"stem_width": stem_width, "stage1_blocks": stage1_blocks, "stage1_width": stage1_width}
    spec = _network(model, input_size, sizes, width_like, links_from, output)
    config = TrainingConfig(
        str(train_annotations),
        str(val_annotations) if val_annotations else None,
        str(images),
        str(val_images) if val_images else None,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        sigma=sigma,
        rotation=rotation,
        scale=scale,
        seed=seed,
        mixed_precision=mixed_precision,
        distill=distill if teacher else 0.0,
        link_dropout=link_dropout,
    )
    start, taught_by = (load_run(path) if path else None for path in (init, teacher))
    run = train_network(spec, config, output, init=start, teacher=taught_by, resume=resume)
    typer.echo(f"run: {run.path}")


@app.command()
def rank(
    run: Annotated[Path, typer.Argument(help="A trained or pruned run.")],
    annotations: Annotated[Path, typer.Option(help="COCO keypoint JSON to measure on.", show_default=False)],
    images: Images,
    method: Annotated[
        list[str] | None,
        typer.Option(help="leave-one-out (default), taylor, l0, l1, random, or all; several may be given, the first counts."),
    ] = None,
    blocks: Annotated[bool, typer.Option("--blocks", help="Rank residual blocks too.")] = False,
    limit: Annotated[int, typer.Option(help="Measure on this many persons, the first ones.", min=2)] = 500,
    seed: Annotated[int, typer.Option(help="Seed of the method random.")] = 0,
) -> None:
    """Measure how much each fusion link is needed, in one or several ways. Writes ranking.json and ranking.svg.

    leave-one-out: what the loss becomes without it. taylor: gate times gradient. l0, l1: gates that learn to close.
    Each is measured on two halves of the people; how far the halves and the methods agree is part of the result.

    Example: [bold]hrnet rank runs/full --annotations train.json --images images --method all[/bold]
    """
    from hrnet_tf.runs import load_run
    from mobile_eval.datasets.coco import load_keypoint_dataset
    from training.importance.ranking import METHODS, rank_run
    from training.ranking_table import show_ranking

    loaded = load_run(run)
    methods = list(METHODS) if method == ["all"] else method or ["leave-one-out"]
    ranking = rank_run(loaded, load_keypoint_dataset(annotations, images).head(limit), methods, blocks=blocks, seed=seed)
    show_ranking(ranking)
    typer.echo(f"ranking: {loaded.path / 'ranking.json'}, picture: {loaded.path / 'ranking.svg'}")


@app.command()
def prune(
    run: Annotated[Path, typer.Argument(help="A ranked run.")],
    train_annotations: TrainAnnotations,
    images: Images,
    output: Annotated[Path | None, typer.Option(help="Run folder to write.", show_default=False)] = None,
    keep_latency: Annotated[float | None, typer.Option(help="Share of the full network's latency that may stay.")] = None,
    keep_macs: Annotated[float | None, typer.Option(help="Share of its multiply-adds that may stay.")] = None,
    keep_links: Annotated[float | None, typer.Option(help="Share of its links that may stay.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="PCK@0.1 that may be lost before tuning, such as 0.01.")] = None,
    method: Annotated[
        str | None, typer.Option(help="Go by this importance method, if not the ranking's first (random: one by one).")
    ] = None,
    blocks: Annotated[bool, typer.Option("--blocks", help="Residual blocks may go too, not only links.")] = False,
    profile: Annotated[
        Path | None,
        typer.Option(help="Latency by this file of `python -m mobile_eval profile` on the target, not by this machine."),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads for measuring latency here.", min=1)] = 1,
    reassess: Annotated[
        bool, typer.Option("--reassess", help="Measure anew after each removal what the next would cost (slower).")
    ] = False,
    closest: Annotated[
        bool, typer.Option("--closest", help="Where nothing keeps to the budget, take what comes closest.")
    ] = False,
    rounds: Annotated[int, typer.Option(help="Remove, tune and rank again this many times; --epochs are shared out.", min=1)] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go and what it would save; write nothing.")] = False,
    val_annotations: ValAnnotations = None,
    val_images: ValImages = None,
    epochs: Epochs = 10,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 5e-4,
    teacher: Annotated[Path | None, typer.Option(help="Learn from this run's heatmaps, if not from RUN's own.")] = None,
    distill: Distill = 0.5,
    sparsity: Annotated[float, typer.Option(help="Also set this share of each convolution's weights to zero.")] = 0.0,
    mixed_precision: MixedPrecision = False,
    seed: Seed = 1,
    resume: Resume = False,
) -> None:
    """Remove the links that a run needs least, with the branches that fall dead, and fine-tune the smaller network.

    Example: [bold]hrnet prune runs/full --keep-latency 0.75 --train-annotations train.json --images images
    --epochs 10 --output runs/pruned[/bold]
    """
    import dataclasses

    from hrnet_tf.runs import load_run
    from training.budget import Budget
    from training.pruning import PruneOptions, summary
    from training.pruning import prune as prune_run
    from training.ranking_table import show_dry_run

    parent = load_run(run)
    config = _tuning_config(
        parent.config, train_annotations, val_annotations, images, val_images, epochs, batch_size, learning_rate, seed
    )
    config = dataclasses.replace(config, mixed_precision=mixed_precision, distill=distill, sparsity=sparsity)
    budget = Budget(keep_latency, keep_macs, keep_links, max_drop)
    options = PruneOptions(budget, method, blocks, str(profile) if profile else None, threads, rounds, reassess, closest)
    if dry_run:
        show_dry_run(parent, options, config)
        return
    if output is None:
        raise ValueError("give --output, the run folder to write (or --dry-run, to look only)")
    pruned = prune_run(parent, options, config, output, teacher=load_run(teacher) if teacher else None, resume=resume)
    typer.echo(f"run: {pruned.path}, {summary(parent, pruned.hrnet_spec)}")


@app.command()
def quantize(
    run: Annotated[Path, typer.Argument(help="A trained or pruned run.")],
    train_annotations: TrainAnnotations,
    images: Images,
    output: Output,
    val_annotations: ValAnnotations = None,
    val_images: ValImages = None,
    epochs: Epochs = 3,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 2e-5,
    seed: Seed = 2,
    resume: Resume = False,
) -> None:
    """Tune a run quantization-aware (tensorflow-model-optimization), so that it loses little as int8.

    Example: [bold]hrnet quantize runs/pruned --train-annotations train.json --images images
    --epochs 3 --output runs/pruned-qat[/bold]
    """
    from hrnet_tf.runs import load_run
    from training.quantize import quantize as quantize_run

    parent = load_run(run)
    config = _tuning_config(
        parent.config, train_annotations, val_annotations, images, val_images, epochs, batch_size, learning_rate, seed
    )
    tuned = quantize_run(parent, config, output, resume=resume)
    typer.echo(f"run: {tuned.path}")


def _network(
    model: str, input_size: str, sizes: dict[str, Any], width_like: Path | None, links_from: Path | None, output: Path
) -> Network:
    """The network that `train` is asked for: a preset with its options, its width or its connectivity like another run's."""
    from hrnet_tf.building import connected_like
    from hrnet_tf.presets import customized, parse_size, preset
    from hrnet_tf.runs import load_run
    from training.matching import narrowed

    if width_like and links_from:
        raise ValueError("--width-like chooses the width of a full network: leave --links-from out")
    spec = customized(preset(model), input_size=parse_size(input_size), **sizes)
    if width_like:
        return narrowed(spec, load_run(width_like), output)
    return connected_like(spec, load_run(links_from) if links_from else None)


def _tuning_config(
    parent: dict[str, Any],
    train_annotations: Path,
    val_annotations: Path | None,
    images: Path,
    val_images: Path | None,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> TrainingConfig:
    """The parent run's targets and augmentation with these settings."""
    from training.config import TrainingConfig

    return TrainingConfig(
        str(train_annotations),
        str(val_annotations) if val_annotations else None,
        str(images),
        str(val_images) if val_images else None,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        sigma=parent.get("sigma", TrainingConfig.sigma),  # an imported run has none
        rotation=parent.get("rotation", TrainingConfig.rotation),
        scale=parent.get("scale", TrainingConfig.scale),
        seed=seed,
    )
