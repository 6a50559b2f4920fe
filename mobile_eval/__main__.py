"""`python -m mobile_eval`."""

from mobile_eval.android.cli import app as android
from mobile_eval.cli.app import app
from mobile_eval.cli.running import run

app.add_typer(android)

if __name__ == "__main__":
    run(app)
