"""`python -m mobile_eval`."""

from mobile_eval.android.cli import app as android
from mobile_eval.cli.app import app
from mobile_eval.cli.help import Commands
from mobile_eval.cli.running import run

target = Commands("target", "Measure on other devices.")
target.add_typer(android)
app.add_typer(target)

if __name__ == "__main__":
    run(app)
