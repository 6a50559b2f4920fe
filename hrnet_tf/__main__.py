"""The one command `hrnet`: mounts each package's commands. The only file that may name all four packages.

The mounted modules import little; what a command needs is imported when it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_tf import __version__
from hrnet_tf.shadowing import check_command

check_command()  # before any of the packages is imported

import conversion.cli
import hrnet_tf.cli.app
import hrnet_tf.cli.checkpoints
import mobile_eval.android.cli
import mobile_eval.cli.app
import training.cli.app
import training.cli.data
from mobile_eval.cli.options import MaxPixels
from mobile_eval.cli.running import run

app = typer.Typer(
    name="hrnet",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
)
for commands in (hrnet_tf.cli.app, hrnet_tf.cli.checkpoints, training.cli.app, conversion.cli, mobile_eval.cli.app):
    app.registered_commands += commands.app.registered_commands
app.add_typer(mobile_eval.android.cli.app)
app.add_typer(training.cli.data.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hrnet_tf {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """HRNet for Keras: train it, prune its fusion links, quantize, convert, and measure what that was worth."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the data, runs, models and report.")] = Path("runs/demo"),
    task: Annotated[str, typer.Option(help="pose, landmarks, segmentation, classification or detection.")] = "pose",
) -> None:
    """The main job on drawn people, with no download: train, rank, prune, quantize, convert, compare. Five to ten minutes.

    Interrupted, the same command goes on where it stopped.

    Example: [bold]hrnet demo --task segmentation --output runs/demo-segmentation[/bold]
    """
    from hrnet_tf.backend.choice import check_tf_keras
    from hrnet_tf.workflows.demo import run_demo

    check_tf_keras("hrnet demo")
    command = typer.main.get_command(app)
    report = run_demo(output, lambda arguments: command.main(arguments, standalone_mode=False), task)
    typer.echo(f"\nreport: {report}")


@app.command()
def study(
    output: Annotated[Path, typer.Option(help="Folder for the runs, models and report.", show_default=False)],
    preset: Annotated[str, typer.Option(help="small (drawn people, 15 minutes) or lspet (hours).")] = "small",
    train_annotations: Annotated[Path | None, typer.Option(help="COCO keypoint JSON to learn from.", show_default=False)] = None,
    val_annotations: Annotated[Path | None, typer.Option(help="COCO keypoint JSON to measure on.", show_default=False)] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of their images.", show_default=False)] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the base networks, if not the preset's.", min=1)] = None,
    tuning_epochs: Annotated[int | None, typer.Option(help="Epochs after pruning, if not the preset's.", min=1)] = None,
    mixed_precision: Annotated[bool, typer.Option("--mixed-precision", help="bfloat16 arithmetic while training.")] = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Is it worth it? Full, pruned by importance, at random, narrower and made for pruning, all on equal terms, in one report.

    Interrupted, the same command goes on where it stopped.

    Example: [bold]hrnet study --preset small --output runs/study[/bold]
    """
    from hrnet_tf.backend.choice import check_tf_keras
    from hrnet_tf.workflows.steps import run_steps
    from hrnet_tf.workflows.study import MANIFEST, manifest, study_setup, study_steps
    from mobile_eval.files import write_json

    check_tf_keras("hrnet study")
    size, data = study_setup(preset, output, train_annotations, val_annotations, images, epochs, tuning_epochs)
    steps = study_steps(size, data, output, mixed_precision=mixed_precision)
    write_json(output / MANIFEST, manifest(size))
    command = typer.main.get_command(app)
    run_steps(steps, lambda arguments: command.main(arguments, standalone_mode=False))
    typer.echo(f"\nreport: {output / 'report' / 'index.html'}")


def main() -> None:
    """Run the command line; bad input is one line and exit code 2."""
    run(app)


if __name__ == "__main__":
    main()
