"""Ray with two workers, one of which is killed on the way, and SLURM's library without SLURM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.hrnet_tf.workflows.engine_jobs.jobs import EPOCHS, EVENTS
from tests.support.environments import ROOT, make_environment

pytestmark = [pytest.mark.slow, pytest.mark.external]

SCRIPTS = Path(__file__).with_name("engine_jobs")


def run_engine(script: str, package: str, tmp_path: Path) -> dict[str, Any]:
    """Runs a script in an environment that has `package` besides what this one has, and returns what it noted."""
    python = make_environment(tmp_path / "environment", sys.executable, package)
    path = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [python, SCRIPTS / script, tmp_path / "study"]
    completed = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=600)
    assert completed.returncode == 0, completed.stdout[-3000:] + completed.stderr[-3000:]
    events: dict[str, Any] = json.loads((tmp_path / "study" / EVENTS).read_text())
    return events


def check_resumed(study: Path, rows: list[str]) -> None:
    """Each epoch is in the history once, those before the interruption as they were."""
    history = (study / "a" / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in history[1:]] == [str(epoch) for epoch in range(1, EPOCHS + 1)]
    assert history[: len(rows)] == rows
    assert len(rows) - 1 < EPOCHS
    assert (study / "curves.png").is_file()


def test_ray_resumes_the_job_of_a_killed_worker(tmp_path: Path) -> None:
    events = run_engine("ray_job.py", "ray", tmp_path)
    assert events["killed"] > 0
    check_resumed(tmp_path / "study", events["rows"])


def test_submitit_resumes_an_interrupted_job(tmp_path: Path) -> None:
    events = run_engine("slurm_job.py", "submitit", tmp_path)
    assert events["error"] is None
    check_resumed(tmp_path / "study", events["rows"])
    assert "wrong (mobile_eval.errors.HRNetError: no model named 'pose-w0'" in events["message"]
    assert "after did not run" in events["message"]
