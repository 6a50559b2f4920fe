"""`hrnet data`: checks, synthetic data sets, splits, and imports of data sets that come in one piece."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mobile_eval.cli.declared import with_options
from mobile_eval.cli.help import Commands
from mobile_eval.cli.options import MaxPixels
from mobile_eval.errors import HRNetError
from training.cli.completion import complete_task
from training.data.options import TrainingData

app = Commands("data", "Check and split data sets, generate synthetic data, and import data sets of other formats.")
imports = Commands(
    "import", "Import classification data as a folder of images for each class. An interrupted command can be repeated."
)
app.add_typer(imports)

ImportOutput = Annotated[Path, typer.Option(help="Folder to write, new or from an interrupted import.", show_default=False)]


@app.command()
@with_options
def check(
    context: typer.Context,
    task: Annotated[
        str,
        typer.Argument(help="pose, landmarks, segmentation, classification or detection.", autocompletion=complete_task),
    ],
    data: TrainingData,
    json: Annotated[Path | None, typer.Option(help="JSON file for the figures and findings.", show_default=False)] = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Show what a data set contains and what is wrong with it, before hours are spent on training.

    Counts, sizes, joints or classes; damaged files, invalid labels, joints without a mirror image; images that are in the
    training set and the validation set, as the same file, as a copy or nearly the same. Reads every image once.

    Ends with exit code 2 if training would refuse the data.

    Example: [bold]hrnet data check pose --train-annotations train.json --val-annotations val.json --images images[/bold]
    """
    from mobile_eval.cli.running import spelled
    from mobile_eval.files import check_output_file, write_json
    from training.data.check import check_data
    from training.data.sources import training_sources

    check_output_file(json)
    result = check_data(task, *training_sources(task, data), progress=True)
    if json:
        write_json(json, result.to_json())
    typer.echo(spelled(str(result), context))
    if not result.ok:
        raise typer.Exit(2)


@app.command()
def synthetic(
    output: Annotated[Path, typer.Option(help="Folder to write.", show_default=False)],
    train_images: Annotated[int, typer.Option(help="Number of training images.", min=1)] = 1200,
    val_images: Annotated[int, typer.Option(help="Number of validation images.", min=1)] = 200,
    image_size: Annotated[
        str | None, typer.Option(help="Image size as HEIGHTxWIDTH in pixels.", show_default="192x160, of clips 240x320")
    ] = None,
    task: Annotated[
        str,
        typer.Option(help="Task: pose, landmarks, segmentation, classification or detection.", autocompletion=complete_task),
    ] = "pose",
    people: Annotated[
        int | None, typer.Option(min=1, help="Number of people, at most, or of each clip.", show_default="3, of clips 4")
    ] = None,
    video: Annotated[
        bool, typer.Option("--video", help="Write clips of people who cross and hide each other, with identities.")
    ] = False,
    clips: Annotated[int, typer.Option(min=1, help="With --video, number of clips.")] = 10,
    frames: Annotated[int, typer.Option(min=1, help="With --video, number of frames of a clip.")] = 90,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Generate a small data set of drawn people with exact labels, for any task, or clips to track people in.

    pose: joints; landmarks: faces; segmentation: parts of the body; classification: visible side of the head; detection:
    people and heads.

    Example: [bold]hrnet data synthetic --train-images 1200 --val-images 200 --output people[/bold]
    """
    from hrnet_tf.spec.presets import parse_size
    from training.data.synthetic import write_synthetic_people
    from training.data.synthetic.clip_files import write_synthetic_clips

    if video and task != "pose":
        raise HRNetError(f"`video` is for the task pose, got {task}")
    if video:
        size = parse_size(image_size or "240x320")
        write_synthetic_clips(output, clips, frames=frames, people=people or 4, seed=seed, image_size=size)
    else:
        size = parse_size(image_size or "192x160")
        write_synthetic_people(output, train_images, val_images, seed=seed, image_size=size, task=task, people=people or 3)
    typer.echo(f"data: {output}")


@app.command()
def split(
    annotations: Annotated[Path, typer.Argument(metavar="TRAIN.json", help="COCO JSON file.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Folder for train.json and held_out.json.", show_default=False)],
    fraction: Annotated[float, typer.Option(help="Share of the images to hold out, between 0 and 1.")] = 0.1,
) -> None:
    """Hold out a part of a training set, image by image, to choose settings on. The same image is in the same part everywhere.

    An image is held out if the SHA-256 of its name, as a number from 0 to 1, is below the share.

    Example: [bold]hrnet data split train.json --fraction 0.1 --output split[/bold]
    """
    from training.data.split import split_annotations

    parts = split_annotations(annotations, output, fraction)
    typer.echo(f"train: {parts.rest}, {parts.rest_images:,} images; held out: {parts.held_out}, {parts.held_out_images:,} images")


@imports.command()
def tfrecord(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="FILE|FOLDER|PATTERN...", help="TFRecord files, as of ImageNet.", show_default=False),
    ],
    output: ImportOutput,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="File with the names of the classes by label, from 0: a JSON list, or one per line.", show_default=False
        ),
    ] = None,
) -> None:
    """Import TFRecord files with image/encoded and image/class/label (and image/class/synset or image/class/text).

    Example: [bold]hrnet data import tfrecord 'imagenet/train-*' --output imagenet/train[/bold]
    """
    from training.data.imports.tfrecord import import_tfrecords

    count = import_tfrecords(sources, output, classes=classes, progress=True)
    typer.echo(f"images: {output}, {count:,}")


@imports.command()
def tfds(
    name: Annotated[str, typer.Argument(help="Name in tensorflow-datasets, such as oxford_iiit_pet.", show_default=False)],
    output: ImportOutput,
    split: Annotated[str, typer.Option(help="Split, or a part of one such as train[:80%].")] = "train",
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of tensorflow-datasets. Default: its own.", show_default=False),
    ] = None,
) -> None:
    """Import a classification data set of tensorflow-datasets, which downloads it if necessary.

    Example: [bold]hrnet data import tfds oxford_flowers102 --split validation --output flowers/val[/bold]
    """
    from training.data.imports.catalogue import import_tfds

    count = import_tfds(name, split, output, data_dir=data_dir, progress=True)
    typer.echo(f"images: {output}, {count:,}")
