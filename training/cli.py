"""The command line of training; heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
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
    init: Annotated[Path | None, typer.Option(help="Start from this run's weights, as far as they fit.")] = None,
    epochs: Epochs = 210,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 1e-3,
    sigma: Sigma = 2.0,
    rotation: Annotated[float, typer.Option(help="Random rotation, standard deviation in degrees.")] = 45.0,
    scale: Annotated[float, typer.Option(help="Random zoom, standard deviation.")] = 0.35,
    mixed_precision: MixedPrecision = False,
    seed: Seed = 0,
    resume: Resume = False,
) -> None:
    """Train a network with model.fit; the run keeps weights, history and a checkpoint after each epoch.

    Example: [bold]hrnet train pose-small-v1 --train-annotations train.json --val-annotations val.json
    --images images --input-size 128x96 --epochs 30 --output runs/full[/bold]
    """
    from hrnet_tf.presets import customized, parse_size, preset
    from hrnet_tf.runs import load_run
    from training.config import TrainingConfig
    from training.train import train as train_network

    spec = customized(
        preset(model),
        input_size=parse_size(input_size),
        width=width,
        modules=modules,
        blocks=blocks,
        stem_width=stem_width,
        stage1_blocks=stage1_blocks,
        stage1_width=stage1_width,
    )
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
    )
    run = train_network(spec, config, output, init=load_run(init) if init else None, resume=resume)
    typer.echo(f"run: {run.path}")


@app.command()
def rank(
    run: Annotated[Path, typer.Argument(help="A trained or pruned run.")],
    annotations: Annotated[Path, typer.Option(help="COCO keypoint JSON to measure on.", show_default=False)],
    images: Images,
    limit: Annotated[int, typer.Option(help="Measure on this many persons, the first ones.", min=1)] = 500,
) -> None:
    """Measure how much each fusion link is needed: leave it out, look at the loss. Writes ranking.json and ranking.svg.

    Example: [bold]hrnet rank runs/full --annotations train.json --images images[/bold]
    """
    from rich.console import Console
    from rich.table import Table

    from hrnet_tf.runs import load_run
    from mobile_eval.datasets.coco import load_keypoint_dataset
    from training.ranking import rank_run

    loaded = load_run(run)
    importance = rank_run(loaded, load_keypoint_dataset(annotations, images).head(limit))
    table = Table("link", "loss increase", "PCK@0.1 drop", title="fusion links, most needed first")
    for link, score in sorted(importance.items(), key=lambda item: -item[1].loss_increase):
        table.add_row(link.name, f"{score.loss_increase:.2e}", f"{score.pck_drop:+.4f}")
    Console().print(table)
    typer.echo(f"ranking: {loaded.path / 'ranking.json'}, picture: {loaded.path / 'ranking.svg'}")


@app.command()
def prune(
    run: Annotated[Path, typer.Argument(help="A ranked run.")],
    train_annotations: TrainAnnotations,
    images: Images,
    output: Output,
    keep_latency: Annotated[float | None, typer.Option(help="Share of the int8 latency, measured here, that may stay.")] = None,
    remove_links: Annotated[int | None, typer.Option(help="Remove this many links, and what falls dead with them.")] = None,
    val_annotations: ValAnnotations = None,
    val_images: ValImages = None,
    epochs: Epochs = 10,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 5e-4,
    threads: Annotated[int, typer.Option(help="Threads for measuring latency.", min=1)] = 1,
    distill: Annotated[
        float, typer.Option(help="The full network's share of what is learnt, as teacher; the rest is the annotations'.")
    ] = 0.5,
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
    from training.pruning import Budget
    from training.pruning import prune as prune_run

    parent = load_run(run)
    config = _tuning_config(
        parent.config, train_annotations, val_annotations, images, val_images, epochs, batch_size, learning_rate, seed
    )
    config = dataclasses.replace(config, mixed_precision=mixed_precision, distill=distill)
    budget = Budget(keep_latency, remove_links)
    pruned = prune_run(parent, budget, config, output, threads=threads, resume=resume)
    spec = pruned.hrnet_spec
    typer.echo(f"run: {pruned.path}, {len(spec.links)} of {len(spec.possible_links)} links kept")


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
    learning_rate: LearningRate = 1e-4,
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
