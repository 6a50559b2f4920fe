"""The command line of conversion; heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.command()
def convert(
    run: Annotated[Path, typer.Argument(help="A trained, pruned or quantized run.")],
    output: Annotated[Path, typer.Option(help="The .tflite to write; its description goes inside, and beside as .json.")],
    precision: Annotated[str, typer.Option("--format", help="float32 or int8.")] = "int8",
    annotations: Annotated[Path | None, typer.Option(help="COCO keypoint JSON to calibrate on (int8 without QAT).")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of its images.")] = None,
) -> None:
    """Convert a run to a .tflite that describes itself, checked against the Keras model before it is written.

    int8 of a run from `hrnet quantize` needs nothing more; of any other run it is calibrated post-training on
    the first 200 persons of --annotations.

    Example: [bold]hrnet convert runs/full-qat --format int8 --output full-int8.tflite[/bold]
    """
    from rich.console import Console

    from conversion.convert import convert_run
    from hrnet_tf.runs import load_run
    from mobile_eval.datasets.coco import load_keypoint_dataset

    if (annotations is None) != (images is None):
        raise ValueError("calibration needs both --annotations and --images")
    calibration = load_keypoint_dataset(annotations, images) if annotations and images else None
    with Console(stderr=True).status(f"converting {run} to {precision}"):
        result = convert_run(load_run(run), precision, output, calibration)
    typer.echo(result)


@app.command()
def restore(
    model: Annotated[Path, typer.Argument(metavar="M.tflite", help="A float32 file written by `hrnet convert`.")],
    annotations: Annotated[Path, typer.Option(help="COCO keypoint JSON to take BatchNorm's statistics on.", show_default=False)],
    images: Annotated[Path, typer.Option(help="Folder of its images.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Run folder to write.", show_default=False)],
) -> None:
    """Make a float32 .tflite a run again, to prune or tune a network of which only the file is there.

    Example: [bold]hrnet restore full-float32.tflite --annotations train.json --images images --output runs/full[/bold]
    """
    from conversion.restore import PERSONS, restore_run
    from mobile_eval.datasets.coco import load_keypoint_dataset

    run = restore_run(model, load_keypoint_dataset(annotations, images).head(PERSONS), output)
    typer.echo(f"run: {run.path}")
