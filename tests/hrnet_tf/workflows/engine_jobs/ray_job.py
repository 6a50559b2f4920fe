"""Runs the jobs on two Ray workers, kills the one that trains `a` on the way, and writes what happened as JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import ray

from hrnet_tf.workflows.engines import RayEngine
from hrnet_tf.workflows.jobs import run_on
from hrnet_tf.workflows.study_options import EngineOptions
from tests.hrnet_tf.workflows.engine_jobs.jobs import EVENTS, training_jobs, wait_for_epochs


def workers(title: str) -> list[int]:
    """The processes with this title."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "cmdline").read_bytes().rstrip(b"\0").decode().startswith(title):
                found.append(int(process.name))
        except (OSError, UnicodeDecodeError):
            continue  # it has ended
    return found


def main(folder: Path) -> None:
    ray.init(num_cpus=2, include_dashboard=False)
    events: dict[str, object] = {}

    def kill_on_the_way() -> None:
        events["rows"] = wait_for_epochs(folder / "a", 2)
        [worker] = workers("ray::a")
        os.kill(worker, signal.SIGKILL)
        events["killed"] = worker

    killer = threading.Thread(target=kill_on_the_way)
    killer.start()
    run_on(RayEngine(EngineOptions("ray", cpus=1)), training_jobs(folder), poll_seconds=0.1)
    killer.join()
    (folder / EVENTS).write_text(json.dumps(events))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
