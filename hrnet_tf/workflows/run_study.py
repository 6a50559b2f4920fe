"""Start, resume and collect a study."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from hrnet_tf.workflows.engines import engine_of
from hrnet_tf.workflows.jobs import run_here, run_on
from hrnet_tf.workflows.study import Study
from hrnet_tf.workflows.study_options import MANIFEST, EngineOptions, StudyOptions, resumed_options
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_json

logger = logging.getLogger(__name__)

Run = Callable[[list[str]], None]  # runs a command of `hrnet`, given its arguments


def started_study(options: StudyOptions, output: Path, *, resume: bool, read_only: bool = False) -> Study:
    """Return the study in a folder, or start one there.

    Args:
        options: Its options. Those that are not set are those that it was started with.
        output: Folder for the results.
        resume: Go on with the study in the folder.
        read_only: Write nothing.

    Raises:
        HRNetError: The folder has a study already and `resume` is not set, or the options cannot be used.
    """
    file, options = output / MANIFEST, options.absolute()
    if file.is_file():
        if not resume and not read_only:
            raise HRNetError(f"{output} has a study already; give `resume` to go on with it, or another `output`")
        options = resumed_options(file, options)
    study = Study.of(options, output)
    if not read_only:
        write_json(file, study.manifest())
    return study


def run_study(study: Study, options: EngineOptions, run: Run) -> Path:
    """Run what is not finished of a study.

    Args:
        study: The study.
        options: What runs it.
        run: Runs a command in this process.

    Returns:
        The report.
    """
    jobs = study.jobs()
    if options.executor == "local":
        run_here(jobs, run)
    else:
        run_on(engine_of(options, study.output / options.executor), jobs)
    return study.report


def collect_study(study: Study, run: Run) -> Path:
    """Measure the arms of a study that are finished, in one interleaved run, and write the report.

    Args:
        study: The study.
        run: Runs a command in this process.

    Returns:
        The report.

    Raises:
        HRNetError: No arm is finished.
    """
    finished, missing = study.finished_arms()
    if not finished:
        raise HRNetError(f"{study.output} has no finished arm to collect")
    if missing:
        logger.warning("not finished: %s", ", ".join(arm.job for arm in missing))
    [compare] = study.report_job(finished).steps
    run(list(compare.arguments))
    return study.report
