"""A killed study is resumed to its report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.journey]
DRIVER = """
from hrnet_tf.workflows.study_presets import PRESETS, StudyPreset, Widths
network = "pose-small-v1 --input-size 64x64 --modules 1 --blocks 1"
PRESETS["small"] = StudyPreset(
    network, Widths(16, 8, 8), "", epochs=2, fine_tuning_epochs=2, quantized_epochs=1, batch_size=8, learning_rate=1e-3,
    fine_tuning_rate=1e-3, budgets=(0.95,), link_budgets=(), narrow_widths=(), pruned_kinds=("units", "scratch"), ranking_items=8,
    rounds=5, synthetic_images=(16, 6),
)
import training.ranking.rank as ranking
ranking.METHODS = dict.fromkeys(ranking.METHODS, ranking.RandomScores())  # the others take long
from hrnet_tf.__main__ import main
main()
"""


def test_killed_study_is_resumed(tmp_path: Path) -> None:
    out = tmp_path / "study"
    arguments = [sys.executable, "-c", DRIVER, "study", "--output", str(out)]
    base = out / "runs" / "base"
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as first:
        start_time = time.monotonic()
        while not (base / "ranking.json").exists():  # base is trained and ranked, and the first arm is trained
            assert first.poll() is None
            assert time.monotonic() - start_time < 300
            time.sleep(0.05)
        os.killpg(first.pid, signal.SIGKILL)
    assert not (out / "report").exists()
    finished = {path: path.stat().st_mtime_ns for path in base.rglob("*") if path.is_file()}
    again = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert (again.returncode, "--resume" in again.stderr) == (2, True)
    second = subprocess.run([*arguments, "--resume"], capture_output=True, text=True, timeout=600, check=False)
    assert second.returncode == 0, second.stderr[-2000:]
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    units, scratch = (json.loads((out / "runs" / f"{name}-95-seed0" / "spec.json").read_text()) for name in ("units", "scratch"))
    assert units == scratch
    results = json.loads((out / "report" / "results.json").read_text())
    assert {network["name"] for network in results["study"]["networks"]} == {
        "full",
        "full-scratch",
        "units-95",
        "scratch-95",
    }
    compared = [(comparison["pruned"], comparison["other"]) for comparison in results["study"]["comparisons"]]
    full = ("full", "full-scratch")
    units, scratch = ([(f"{kind}-95", other) for other in full] for kind in ("units", "scratch"))
    assert compared == 2 * [*units, ("units-95", "scratch-95"), *scratch]
