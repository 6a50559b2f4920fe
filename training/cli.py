"""The command line of training; heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hrnet_tf.networks import Network

app = typer.Typer(no_args_is_help=True)

TrainAnnotations = Annotated[Path, typer.Option(help="COCO keypoint JSON to learn from.", show_default=False)]
ValAnnotations = Annotated[Path | None, typer.Option(help="COCO keypoint JSON to measure PCK on after each epoch.")]
Images = Annotated[Path, typer.Option(help="Folder of the images that the annotations name.", show_default=False)]
ValImages = Annotated[Path | None, typer.Option(help="Folder of the validation images, if another.")]
Epochs = Annotated[int, typer.Option(help="Passes over the training data.", min=1)]
BatchSize = Annotated[int, typer.Option(help="Persons a step.", min=1)]
LearningRate = Annotated[float, typer.Option(help="Adam's peak learning rate (cosine to zero).")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
MixedPrecision = Annotated[
    bool,
    typer.Option("--mixed-precision", help="bfloat16 arithmetic: faster where the processor has it (AVX512-BF16, AMX, GPUs)."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --output.")]
Distill = Annotated[float, typer.Option(help="The teacher's share of what is learnt; the rest is the annotations'.")]
Output = Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)]


# The sizes of the network to train.
InputSize = Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels, multiples of 32.")]
Width = Annotated[int | None, typer.Option(help="Channels of the first branch, if not the model's own.", min=1)]
Modules = Annotated[str | None, typer.Option(help="Modules of stages 2, 3, 4, such as 1,4,3.")]
Blocks = Annotated[int | None, typer.Option(help="Residual blocks in each branch of a module.", min=1)]
StemWidth = Annotated[int | None, typer.Option(help="Channels of the stem.", min=1)]
Stage1Blocks = Annotated[int | None, typer.Option(help="Bottleneck blocks of stage 1.", min=1)]
Stage1Width = Annotated[int | None, typer.Option(help="Inner channels of those (they put out 4 times that).", min=1)]
WidthLike = Annotated[
    Path | None, typer.Option(help="Be so narrow, stem and all, that it is as fast (int8, here) as this run's network.")
]
LinksFrom = Annotated[Path | None, typer.Option(help="Have only the links and blocks that this run has.")]

# What a recipe says, and `train` may say instead.
RECIPE = "Instead of the recipe's"
Recipe = Annotated[
    str | None, typer.Option(help="coco, coco-384x288, small, or a .yaml file; by the model if not given.", show_default=False)
]
TotalEpochs = Annotated[int | None, typer.Option(help="Passes over the training data.", min=1, rich_help_panel=RECIPE)]
Persons = Annotated[int | None, typer.Option(help="Persons a step.", min=1, rich_help_panel=RECIPE)]
PeakRate = Annotated[float | None, typer.Option("--learning-rate", help="Adam's largest.", rich_help_panel=RECIPE)]
Schedule = Annotated[str | None, typer.Option(help="Of the learning rate: cosine or step.", rich_help_panel=RECIPE)]
Warmup = Annotated[float | None, typer.Option("--warmup-epochs", help="Before the cosine.", rich_help_panel=RECIPE)]
Drops = Annotated[str | None, typer.Option(help="Epochs at which step divides by ten, as 170,200.", rich_help_panel=RECIPE)]
Targets = Annotated[str | None, typer.Option(help="Heatmaps: official (rounded) or dark (exact).", rich_help_panel=RECIPE)]
Sigma = Annotated[
    float | None, typer.Option(help="Gaussian targets' standard deviation, in heatmap pixels.", rich_help_panel=RECIPE)
]
Loss = Annotated[str | None, typer.Option(help="mse, or ohkm: of each image's 8 worst joints.", rich_help_panel=RECIPE)]
HalfBody = Annotated[
    float | None, typer.Option("--half-body-probability", help="Chance of only a half of the body.", rich_help_panel=RECIPE)
]
Scale = Annotated[float | None, typer.Option(help="Random zoom, standard deviation.", rich_help_panel=RECIPE)]
Rotation = Annotated[float | None, typer.Option(help="Random rotation, standard deviation in degrees.", rich_help_panel=RECIPE)]
Turned = Annotated[float | None, typer.Option("--rotation-probability", help="Chance of it.", rich_help_panel=RECIPE)]
Flipped = Annotated[float | None, typer.Option("--flip-probability", help="Chance of mirroring.", rich_help_panel=RECIPE)]
LinkDropout = Annotated[
    float | None,
    typer.Option(
        help="Leave each link out of an image with this chance, so that pruning needs less recovery.", rich_help_panel=RECIPE
    ),
]
Bfloat16 = Annotated[
    bool | None,
    typer.Option("--mixed-precision/--no-mixed-precision", help="bfloat16 arithmetic.", rich_help_panel=RECIPE),
]
Cache = Annotated[Path | None, typer.Option(help="Keep decoded images in this folder, so that each is read once.")]


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
    input_size: InputSize = "256x192",
    width: Width = None,
    modules: Modules = None,
    blocks: Blocks = None,
    stem_width: StemWidth = None,
    stage1_blocks: Stage1Blocks = None,
    stage1_width: Stage1Width = None,
    width_like: WidthLike = None,
    links_from: LinksFrom = None,
    init: Annotated[Path | None, typer.Option(help="Start from this run's weights, as far as they fit.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="Learn from this run's heatmaps as well.")] = None,
    distill: Distill = 0.5,
    recipe: Recipe = None,
    epochs: TotalEpochs = None,
    batch_size: Persons = None,
    learning_rate: PeakRate = None,
    schedule: Schedule = None,
    warmup: Warmup = None,
    drops: Drops = None,
    targets: Targets = None,
    sigma: Sigma = None,
    loss: Loss = None,
    half_body: HalfBody = None,
    scale: Scale = None,
    rotation: Rotation = None,
    turned: Turned = None,
    flipped: Flipped = None,
    link_dropout: LinkDropout = None,
    mixed_precision: Bfloat16 = None,
    seed: Seed = 0,
    cache: Cache = None,
    resume: Resume = False,
) -> None:
    """Train a network with model.fit; the run keeps weights, history and a checkpoint after each epoch.

    Example: [bold]hrnet train pose-small-v1 --train-annotations train.json --val-annotations val.json
    --images images --input-size 128x96 --epochs 30 --output runs/full[/bold]
    """
    from hrnet_tf.runs import load_run
    from training.config import data_paths
    from training.recipe import default_recipe, load_recipe, parse_drops, recipe_config, show_recipe
    from training.train import train as train_network

    sizes = {"width": width, "modules": modules, "blocks": blocks}
    sizes |= {"stem_width": stem_width, "stage1_blocks": stage1_blocks, "stage1_width": stage1_width}
    spec = _network(model, input_size, sizes, width_like, links_from, output)
    given: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "schedule": schedule}
    given |= {"warmup_epochs": warmup, "drops": parse_drops(drops), "targets": targets, "sigma": sigma, "loss": loss}
    given |= {"half_body_probability": half_body, "scale": scale, "rotation": rotation, "rotation_probability": turned}
    given |= {"flip_probability": flipped, "link_dropout": link_dropout, "mixed_precision": mixed_precision}
    name = recipe or default_recipe(model, spec.input_size)
    people = data_paths(train_annotations, val_annotations, images, val_images)
    config = recipe_config(load_recipe(name), given, people, seed=seed, distill=distill if teacher else 0.0)
    show_recipe(name, config)
    start, taught_by = (load_run(path) if path else None for path in (init, teacher))
    run = train_network(spec, config, output, init=start, teacher=taught_by, cache=cache, resume=resume)
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
    from training.config import data_paths, tuning_config
    from training.pruning import PruneOptions, summary
    from training.pruning import prune as prune_run
    from training.ranking_table import show_dry_run

    parent = load_run(run)
    people = data_paths(train_annotations, val_annotations, images, val_images)
    config = tuning_config(parent.config, people, epochs, batch_size, learning_rate, seed)
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
    from training.config import data_paths, tuning_config
    from training.quantize import quantize as quantize_run

    parent = load_run(run)
    people = data_paths(train_annotations, val_annotations, images, val_images)
    config = tuning_config(parent.config, people, epochs, batch_size, learning_rate, seed)
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
