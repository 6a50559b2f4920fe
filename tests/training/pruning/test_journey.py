"""Ranking, planning, pruning, fine-tuning and distilling in one go: in each Keras; and pruning for two devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
JOB = Path(__file__).with_name("journey_job.py")


def job(*arguments: str, **variables: str) -> dict[str, Any]:
    """What the job printed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **variables}
    command = [sys.executable, JOB, *arguments]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert completed.returncode == 0, completed.stderr[-3000:]
    facts: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    return facts


@pytest.mark.parametrize("keras", ["tf_keras", pytest.param("keras", marks=pytest.mark.external)])
def test_own_head_with_two_outputs(keras: str) -> None:
    facts = job(HRNET_KERAS=keras, KERAS_BACKEND="tensorflow")
    assert facts["links"] <= 3  # of 6
    assert facts["difference"] < 1e-5  # of the outputs, from those with closed gates
    names = {"loss", "maps_loss", "classes_loss", "classes_accuracy", "distillation_loss"}
    assert set(facts["history"]) == names | {f"val_{name}" for name in names}
    validated = {name: facts["history"][f"val_{name}"] for name in facts["evaluated"]}
    assert validated == pytest.approx(facts["evaluated"], rel=1e-5)
    assert facts["teacher_change"] == 0


def test_models_are_pruned_for_two_devices_as_for_one() -> None:
    facts = job("mirrored", HRNET_KERAS="tf_keras", TF_NUM_INTEROP_THREADS="4")
    assert facts["mirrored"] == "MirroredVariable"
    assert facts["links"] <= 3
    assert facts["pruned_difference"] < 0.01  # variances differ by n / (n - 1), of 32 values at the lowest resolution
