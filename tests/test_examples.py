"""The programs in `examples`."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.keypoints.vectors import contract
from mobile_eval.model.archive import read_description
from mobile_eval.runtime.tflite_model import TFLiteModel

EXAMPLES = Path(__file__).parents[1] / "examples"
LINES = 15  # from own data to a measured pruned int8 file, with the import


@pytest.mark.slow
@pytest.mark.journey
def test_quickstart(tmp_path: Path) -> None:
    path = EXAMPLES / "quickstart.py"
    spec = importlib.util.spec_from_file_location("quickstart", path)
    assert spec is not None
    assert spec.loader is not None
    quickstart = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quickstart)
    result = quickstart.main(tmp_path, count=64, epochs=1)
    assert [model.model for model in result] == ["full-int8.tflite", "pruned-int8.tflite"]
    full, pruned = (read_description(tmp_path / model.model) for model in result)
    assert pruned.multiply_adds <= 0.8 * full.multiply_adds
    assert pruned.category.joints == ("red", "green", "blue")
    first, last = "    x, (y, weights)", "    return hr.benchmark"
    lines = path.read_text(encoding="utf-8").splitlines()
    body = lines[next(i for i, line in enumerate(lines) if line.startswith(first)) :]
    assert next(i for i, line in enumerate(body) if line.startswith(last)) + 2 <= LINES


def test_camera_without_a_window(tmp_path: Path) -> None:
    model = Path(__file__).parents[1] / "benchmarks" / "results" / "lspet" / "links-int8.tflite"
    (tmp_path / "vectors.json").write_text(json.dumps(contract(TFLiteModel(model))))
    video = cv2.VideoWriter(str(tmp_path / "video.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 128))
    frame = np.random.default_rng(0).integers(0, 256, (128, 96, 3), np.uint8)
    for _ in range(4):
        video.write(frame)
    video.release()
    script = EXAMPLES / "raspberry_pi" / "pose_camera.py"
    command = [sys.executable, script, model, tmp_path / "vectors.json", "--source", tmp_path / "video.avi", "--frames", "3"]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES)}
    done = subprocess.run([*command, "--no-window"], env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame"] for line in lines] == [1, 2, 3]
    assert np.shape(lines[0]["keypoints"]) == (14, 3)
    missing = subprocess.run([*command[:5], "missing.avi"], env=environment, capture_output=True, text=True, check=False)
    assert "cannot open missing.avi" in missing.stderr
