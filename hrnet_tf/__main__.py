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
from hrnet_tf.workflows.demo import PIPELINE
from hrnet_tf.workflows.study_options import EngineOptions, StudyOptions
from mobile_eval.cli.completion import completed
from mobile_eval.cli.declared import with_options
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
            help="Task: pose, landmarks, segmentation, classification or detection; or pipeline, a detector and a pose network.",
            autocompletion=completed([*TRAINING_TASKS, PIPELINE]),
        ),
    ] = "pose",
) -> None:
    """Run the complete workflow on synthetic people: train, rank, prune, quantize, convert, compare. Takes five to ten minutes.

    Downloads nothing. If it is interrupted, the same command resumes it.

    Example: [bold]hrnet demo --task segmentation --output runs/demo-segmentation[/bold]
    """
    from hrnet_tf.backend.choice import check_tf_keras
    from hrnet_tf.workflows.demo import run_demo
    from hrnet_tf.workflows.pipeline_demo import run_pipeline_demo

    check_tf_keras("hrnet demo")
    command = typer.main.get_command(app)

    def run_command(arguments: list[str]) -> None:
        command.main(arguments, standalone_mode=False)

    report = run_pipeline_demo(output, run_command) if task == PIPELINE else run_demo(output, run_command, task)
    typer.echo(f"\nreport: {report}")


@app.command(rich_help_panel="Workflows")
@with_options
def study(
    output: Annotated[Path, typer.Option(help="Folder for the runs, models and report.", show_default=False)],
    options: StudyOptions,
    engine: EngineOptions,
    list_arms: Annotated[
        bool, typer.Option("--list", help="Show each arm's commands and what it waits for; run nothing.")
    ] = False,
    collect: Annotated[bool, typer.Option("--collect", help="Measure the arms that are finished, and write the report.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the interrupted study in --output.")] = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Compare ways to make a network faster (pruned, narrower, random, from scratch) under equal training, in one report.

    Every arm sees as many images, from the same start and with the same teacher. --hold-out measures on a part of the training
    images, for choosing settings.

    Example: [bold]hrnet study --preset small --output runs/study[/bold]
    """
    from hrnet_tf.backend.choice import check_tf_keras
    from hrnet_tf.workflows.engines import check_executor
    from hrnet_tf.workflows.jobs import job_list
    from hrnet_tf.workflows.run_study import collect_study, run_study, started_study

    check_tf_keras("hrnet study")
    check_executor(engine)
    started = started_study(options, output.absolute(), resume=resume, read_only=list_arms or collect)
    command = typer.main.get_command(app)

    def run_command(arguments: list[str]) -> None:
        command.main(arguments, standalone_mode=False)

    if list_arms:
        typer.echo(job_list(started.jobs()))
    elif collect:
        typer.echo(f"\nreport: {collect_study(started, run_command)}")
    else:
        typer.echo(f"\nreport: {run_study(started, engine, run_command)}")


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()
