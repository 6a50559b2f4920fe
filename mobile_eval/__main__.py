"""`python -m mobile_eval`."""

from mobile_eval.cli import app, run

if __name__ == "__main__":
    run(app)
