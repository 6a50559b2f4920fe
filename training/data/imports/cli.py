"""`hrnet data FORMAT`: data sets in one piece, as a folder of images for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="data",
    help="Lay classification data out as a folder of images for each class; interrupted, the same command goes on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Output = Annotated[Path, typer.Option(help="Folder to write; a new one, or one that is being written.", show_default=False)]


@app.command()
def tfrecord(
    sources: Annotated[
        list[str], typer.Argument(metavar="FILE|FOLDER|PATTERN...", help="TFRecord files, as of ImageNet.", show_default=False)
    ],
    output: Output,
    classes: Annotated[
        Path | None,
        typer.Option(help="File of the classes' names by label, from 0 on: a JSON list, or one a line.", show_default=False),
    ] = None,
) -> None:
    """Unpack TFRecord files that hold image/encoded and image/class/label (and image/class/synset or image/class/text).

    Example: [bold]hrnet data tfrecord 'imagenet/train-*' --output imagenet/train[/bold]
    """
    from training.data.imports.tfrecord import unpack_tfrecords

    count = unpack_tfrecords(sources, output, classes=classes, progress=True)
    typer.echo(f"images: {output}, {count:,}")


@app.command()
def tfds(
    name: Annotated[str, typer.Argument(help="Its name there, such as oxford_iiit_pet.", show_default=False)],
    output: Output,
    split: Annotated[str, typer.Option(help="Split, or a part of one, as train[:80%].")] = "train",
    data_dir: Annotated[
        Path | None, typer.Option(help="Where tensorflow-datasets keeps it, if not in its own place.", show_default=False)
    ] = None,
) -> None:
    """Unpack a classification data set of tensorflow-datasets, which downloads it where needed.

    Example: [bold]hrnet data tfds oxford_flowers102 --split validation --output flowers/val[/bold]
    """
    from training.data.imports.catalogue import unpack_catalogued

    count = unpack_catalogued(name, split, output, data=data_dir, progress=True)
    typer.echo(f"images: {output}, {count:,}")
