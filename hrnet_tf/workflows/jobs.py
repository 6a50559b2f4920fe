"""Jobs of several commands that wait for each other: listed, run here one after another, or run by an engine of a cluster."""

from __future__ import annotations

import importlib
import logging
import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import typer

from hrnet_tf.workflows.steps import Step, run_steps
from mobile_eval.errors import HRNetError

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0
THREADS_VARIABLE = "TF_NUM_INTRAOP_THREADS"  # TensorFlow reads it when it is imported
PROGRAM = "hrnet_tf.__main__"  # which imports this module
NAMES_SHOWN = 4  # failed jobs in a message


@dataclass(frozen=True)
class Job:
    """Commands that run one after another, on one machine.

    Attributes:
        name: Name of the job.
        steps: The commands. The last one has a result, and the job is finished when it exists.
        after: Names of the jobs whose results it reads.
    """

    name: str
    steps: tuple[Step, ...]
    after: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the last result exists."""
        result = self.steps[-1].result
        return result is not None and result.exists()


class Submitted(Protocol):
    """A job that an engine has taken over."""

    def done(self) -> bool:
        """Return whether it has ended."""

    def error(self) -> str | None:
        """Return why the job failed, in one line; None if it did not. Called once it has ended."""


class Engine(Protocol):
    """What runs jobs on the machines of a cluster, as many at once as fit."""

    def submit(self, job: Job) -> Submitted:
        """Take over a job whose prerequisites are finished."""


def job_list(jobs: Sequence[Job]) -> str:
    """Return every job with its commands and what it waits for, as text."""
    lines = []
    for job in jobs:
        waits = f" waits for {', '.join(job.after)}" if job.after else " waits for nothing"
        lines.append(f"{job.name}:{waits}{', finished' if job.finished else ''}")
        lines += [f"  hrnet {shlex.join(step.arguments)}" for step in job.steps]
    return "\n".join(lines)


def run_here(jobs: Sequence[Job], run: Callable[[list[str]], None]) -> None:
    """Run jobs in this process, one after another; those that are finished are skipped.

    Args:
        jobs: The jobs, each one after those that it waits for.
        run: Runs a command of `hrnet`, given its arguments.
    """
    for number, job in enumerate(jobs, 1):
        logger.info("job %d of %d: %s%s", number, len(jobs), job.name, ", finished already" if job.finished else "")
        if not job.finished:
            run_steps(job.steps, run)


def run_on(engine: Engine, jobs: Sequence[Job], poll_seconds: float = POLL_SECONDS) -> None:
    """Have an engine run jobs, each as soon as those that it waits for are finished.

    If a job fails, those that wait for it are not run, but all others are.

    Args:
        engine: What runs them.
        jobs: The jobs.
        poll_seconds: Time between two looks at the running jobs, in seconds.

    Raises:
        HRNetError: Some jobs failed. All others are finished by then.
    """
    finished = {job.name for job in jobs if job.finished}
    waiting = [job for job in jobs if job.name not in finished]
    running: dict[str, Submitted] = {}
    failed: dict[str, str] = {}
    while waiting or running:
        for job in [job for job in waiting if finished.issuperset(job.after)]:
            logger.info("submitted: %s", job.name)
            running[job.name] = engine.submit(job)
            waiting.remove(job)
        for name in [name for name, submitted in running.items() if submitted.done()]:
            error = running.pop(name).error()
            logger.info("%s: %s", "finished" if error is None else "failed", name)
            if error is None:
                finished.add(name)
            else:
                failed[name] = error
        if failed and not running and not any(finished.issuperset(job.after) for job in waiting):
            break
        if running:
            time.sleep(poll_seconds)
    _check_all_finished(failed, [job.name for job in waiting])


def _check_all_finished(failed: dict[str, str], waiting: Sequence[str]) -> None:
    if not failed:
        return
    reasons = [f"{name} ({error})" for name, error in list(failed.items())[:NAMES_SHOWN]]
    more = f" and {len(failed) - NAMES_SHOWN} more" if len(failed) > NAMES_SHOWN else ""
    missing = f"; {', '.join(waiting)} did not run" if waiting else ""
    raise HRNetError(f"jobs failed: {', '.join(reasons)}{more}{missing}; `resume` runs them again, from their last epoch")


def run_job(job: Job, threads: int | None = None) -> None:
    """Run the commands of a job in this process: the function that engines call on their machines.

    Args:
        job: The job. Its commands resume what an earlier attempt left unfinished.
        threads: Number of threads of TensorFlow; None for its own choice.

    Raises:
        HRNetError: A command failed.
    """
    if threads is not None:
        os.environ[THREADS_VARIABLE] = str(threads)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    command = typer.main.get_command(importlib.import_module(PROGRAM).app)

    def run(arguments: list[str]) -> None:
        code = command.main(arguments, prog_name="hrnet", standalone_mode=False)
        if isinstance(code, int) and code:
            raise HRNetError(f"`hrnet {arguments[0]}` ended with exit code {code}")

    run_steps(job.steps, run)
