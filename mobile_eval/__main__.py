"""`python -m mobile_eval`."""

import typer

from mobile_eval.android.cli import app as android
from mobile_eval.cli.app import app
from mobile_eval.cli.running import run

target = typer.Typer(name="target", help="Measure on other devices.", no_args_is_help=True)
target.add_typer(android)
app.add_typer(target)

if __name__ == "__main__":
    run(app)
