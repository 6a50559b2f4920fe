"""The one command `hrnet`: mounts each package's commands. The only file that may name all four packages.

The mounted modules import little; what a command needs is imported when it runs.
"""

from __future__ import annotations

import typer

import conversion.cli
import hrnet_tf.cli
import mobile_eval.cli
import training.cli

app = typer.Typer(no_args_is_help=True, help="HRNet for Keras: train, prune fusion links, quantize, convert, measure.")
for package in (hrnet_tf, training, conversion, mobile_eval):
    app.registered_commands += package.cli.app.registered_commands


def main() -> None:
    """Run the command line; bad input is one line and exit code 2."""
    mobile_eval.cli.run(app)


if __name__ == "__main__":
    main()
