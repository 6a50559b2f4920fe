"""The command `hrnet`: the commands of all four packages.

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
from mobile_eval.cli.completion import completed
from mobile_eval.cli.help import Commands
from mobile_eval.cli.options import MaxPixels
from mobile_eval.cli.running import run
from training.tasks.registry import TRAINING_TASKS

DESCRIPTION = "HRNet for Keras: train, prune fusion links, quantize, convert to TFLite, and measure accuracy and latency."

app = Commands("hrnet", DESCRIPTION, completion=True)
target = Commands("target", "Check and compile for NPUs, and measure on phones.")
target.add_typer(conversion.cli.targets)
target.add_typer(mobile_eval.android.cli.app)
measurements = Commands()
for command in mobile_eval.cli.app.COMMANDS:
    measurements.command(rich_help_panel="Measure")(command)
app.add_typer(training.cli.data.app, rich_help_panel="Data")
app.add_typer(hrnet_tf.cli.checkpoints.app, rich_help_panel="Networks")
for commands in (hrnet_tf.cli.app, training.cli.app, conversion.cli):
    app.add_typer(commands.app)  # without a name: its commands become commands of `hrnet`
app.add_typer(measurements)
app.add_typer(target, rich_help_panel="Convert")


def _print_version(show: bool) -> None:
    if show:
        typer.echo(f"hrnet_tf {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command(rich_help_panel="Workflows")
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the data, runs, models and report.")] = Path("runs/demo"),
    task: Annotated[
        str,
        typer.Option(
            help="Task: pose, landmarks, segmentation, classification or detection.", autocompletion=completed(TRAINING_TASKS)
        ),
    ] = "pose",
) -> None:
    """Run the complete workflow on synthetic people: train, rank, prune, quantize, convert, compare. Takes five to ten minutes.

    Downloads nothing. If it is interrupted, the same command resumes it.

    Example: [bold]hrnet demo --task segmentation --output runs/demo-segmentation[/bold]
    """
    from hrnet_tf.backend.choice import check_tf_keras
    from hrnet_tf.workflows.demo import run_demo

    check_tf_keras("hrnet demo")
    command = typer.main.get_command(app)
    report = run_demo(output, lambda arguments: command.main(arguments, standalone_mode=False), task)
    typer.echo(f"\nreport: {report}")


@app.command(rich_help_panel="Workflows")
def study(
    output: Annotated[Path, typer.Option(help="Folder for the runs, models and report.", show_default=False)],
    preset: Annotated[
        str,
        typer.Option(help="small (synthetic people, 15 minutes) or lspet (hours).", autocompletion=completed(("small", "lspet"))),
    ] = "small",
    train_annotations: Annotated[Path | None, typer.Option(help="Training annotations (COCO JSON).", show_default=False)] = None,
    val_annotations: Annotated[Path | None, typer.Option(help="Validation annotations (COCO JSON).", show_default=False)] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images.", show_default=False)] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the base networks.", min=1)] = None,
    fine_tuning_epochs: Annotated[int | None, typer.Option(help="Fine-tuning epochs after pruning.", min=1)] = None,
    precision: Annotated[str, typer.Option(help="Compute precision of training: float32, bfloat16 or float16.")] = "float32",
    max_pixels: MaxPixels = None,
) -> None:
    """Compare pruning strategies (importance, random, narrower, link dropout) under equal training, in one report.

    If it is interrupted, the same command resumes it.

    Example: [bold]hrnet study --preset small --output runs/study[/bold]
    """
    from hrnet_tf.backend.choice import check_tf_keras
    from hrnet_tf.workflows.steps import run_steps
    from hrnet_tf.workflows.study import MANIFEST, manifest, study_setup, study_steps
    from mobile_eval.files import write_json

    check_tf_keras("hrnet study")
    size, data = study_setup(preset, output, train_annotations, val_annotations, images, epochs, fine_tuning_epochs)
    steps = study_steps(size, data, output, precision=precision)
    write_json(output / MANIFEST, manifest(size))
    command = typer.main.get_command(app)
    run_steps(steps, lambda arguments: command.main(arguments, standalone_mode=False))
    typer.echo(f"\nreport: {output / 'report' / 'index.html'}")


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()
