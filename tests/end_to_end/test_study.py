"""A killed study continues from its last finished step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
DRIVER = """
import sys
import hrnet_tf.workflows.study as study
from hrnet_tf.__main__ import main
net = "pose-small-v1 --input-size 64x64 --width 4 --stem-width 4 --stage1-width 4 --modules 2 --blocks 1"
study.PRESETS["small"] = study.StudyPreset(net, "", 1, 1, 1, 8, 1e-3, 1e-3, (0.9,), (), ranking_items=8, synthetic_images=(16, 4))
import training.ranking.rank as ranking
ranking.METHODS = dict.fromkeys(ranking.METHODS, ranking.RandomScores())  # the others take long
if sys.argv[-1] == "stop":  # stop before the first quantization
    sys.argv.pop()
    import training.quantize
    def stop(*arguments, **options):
        raise ValueError("reached quantization")
    training.quantize.quantize = stop
main()
"""


def test_killed_study_is_resumed(tmp_path: Path) -> None:
    out = tmp_path / "study"
    arguments = [sys.executable, "-c", DRIVER, "study", "--output", str(out)]
    base = out / "runs" / "base"
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as first:
        start_time = time.monotonic()
        while not (base / "ranking.json").exists():  # base is trained and ranked, and the next training runs
            assert first.poll() is None
            assert time.monotonic() - start_time < 300
            time.sleep(0.05)
        os.killpg(first.pid, signal.SIGKILL)
    assert not (out / "report").exists()
    finished = {path: path.stat().st_mtime_ns for path in base.rglob("*") if path.is_file()}
    second = subprocess.run([*arguments, "stop"], capture_output=True, text=True, timeout=600, check=False)
    assert "reached quantization" in second.stderr, second.stderr[-2000:]
    assert f"finished already: {base / 'ranking.json'}" in second.stdout.replace("\n", "")
    assert (out / "runs" / "full" / "weights.safetensors").is_file()
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
