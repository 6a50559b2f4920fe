"""Runs jobs by submitit without SLURM: in processes of this machine, one of which is interrupted, and in this process."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hrnet_tf.workflows.engines import SlurmEngine
from hrnet_tf.workflows.jobs import Job, run_on
from hrnet_tf.workflows.steps import step
from hrnet_tf.workflows.study_options import EngineOptions
from mobile_eval.errors import HRNetError
from tests.hrnet_tf.workflows.engine_jobs.jobs import EVENTS, training_jobs, wait_for_epochs

OPTIONS = EngineOptions("slurm", cpus=1, memory="4GiB", partition="none")


def main(folder: Path) -> None:
    local = SlurmEngine(OPTIONS, folder / "local", "local")
    jobs = training_jobs(folder)
    submitted = local.submit(jobs[0])
    rows = wait_for_epochs(folder / "a", 2)
    submitted.job._interrupt()  # as at the time limit: the job is put in the queue again
    error = submitted.error()
    run_on(local, jobs[1:2], poll_seconds=0.1)
    failing = [Job("wrong", (step("models pose-w0"),)), Job("after", (step("models"),), ("wrong",))]
    try:
        run_on(local, failing, poll_seconds=0.1)
        message = ""
    except HRNetError as failure:
        message = str(failure)
    run_on(SlurmEngine(OPTIONS, folder / "debug", "debug"), [Job("c", jobs[2].steps)])
    (folder / EVENTS).write_text(json.dumps({"rows": rows, "error": error, "message": message}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
