"""The one command `hrnet`: mounts each package's commands. The only file that may name all four packages.

The mounted modules import little; what a command needs is imported when it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import conversion.cli
import hrnet_tf.checkpoints.cli
import hrnet_tf.cli
import mobile_eval.cli
import training.cli

app = typer.Typer(
    name="hrnet",
    help="HRNet for Keras: train it, prune its fusion links, quantize, convert, and measure what that was worth.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
for package in (hrnet_tf, hrnet_tf.checkpoints, training, conversion, mobile_eval):
    app.registered_commands += package.cli.app.registered_commands


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the data, runs, models and report.")] = Path("runs/demo"),
) -> None:
    """The main job on drawn people, with no download: train, rank, prune, quantize, convert, compare. Five to ten minutes.

    Interrupted, the same command goes on where it stopped.

    Example: [bold]hrnet demo --output runs/demo[/bold]
    """
    from hrnet_tf.demo import run_demo

    command = typer.main.get_command(app)
    report = run_demo(output, lambda arguments: command.main(arguments, standalone_mode=False))
    typer.echo(f"\nreport: {report}")


def main() -> None:
    """Run the command line; bad input is one line and exit code 2."""
    mobile_eval.cli.run(app)


if __name__ == "__main__":
    main()
