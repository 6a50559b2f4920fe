"""Files run by TensorFlow Lite for Microcontrollers, which the tests install in a folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from typer.testing import CliRunner

from conversion.cli import targets
from conversion.targets import micro
from conversion.targets.micro import NEEDS_MICRO, run_micro
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.presets import preset
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.model.archive import read_description
from training.pruning.candidate_latency import untrained_tflite

FILES = Path(__file__).parents[3] / "benchmarks" / "results"
MICRO_LIMIT = 256_000  # bytes of memory that pose-micro may take
WEIGHT_LIMIT = 250_000


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("micro")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, "tflite-micro"]
    if sys.platform != "linux" or subprocess.run(command, check=False).returncode:
        pytest.skip("tflite-micro cannot be installed here")
    return folder


@pytest.fixture
def installed(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(library))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(library), os.environ.get("PYTHONPATH")))))


@pytest.mark.external
@pytest.mark.slow
@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["lspet/links-int8", "lspet/links-float32"])
def test_outputs_equal_the_reference_kernels(name: str) -> None:
    path = FILES / f"{name}.tflite"
    result = run_micro(path)
    assert (result.missing, result.largest_difference) == ({}, 0)
    assert result.supported == result.operators == 82
    flatbuffer = read_description(path).flatbuffer
    assert flatbuffer is not None
    assert result.flash_bytes == flatbuffer.size_bytes < len(read_bytes(path, "model"))
    assert result.arena_bytes is not None
    assert result.activation_bytes is not None
    assert 0 < result.activation_bytes < result.arena_bytes


@pytest.mark.external
@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_pose_micro_fits_a_microcontroller(tmp_path: Path) -> None:
    (tmp_path / "micro.tflite").write_bytes(untrained_tflite(preset("pose-micro")))
    result = run_micro(tmp_path / "micro.tflite")
    assert (result.missing, result.largest_difference) == ({}, 0)
    assert result.arena_bytes is not None
    assert result.arena_bytes < MICRO_LIMIT
    assert complexity(preset("pose-micro")).parameters < result.flash_bytes < WEIGHT_LIMIT


@pytest.mark.external
@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_missing_operators_are_counted(tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec((1, 8), tf.float32)])  # type: ignore[untyped-decorator]
    def best(values: tf.Tensor) -> tf.Tensor:
        return tf.math.top_k(tf.nn.relu(values), 2).values

    path = tmp_path / "best.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([best.get_concrete_function()]).convert())
    result = CliRunner().invoke(targets, ["micro", str(path), "--json", str(tmp_path / "result.json")])
    assert result.exit_code == 0, result.output
    [written] = json.loads((tmp_path / "result.json").read_text())["files"]
    assert (written["operators"], written["missing"], written["arena_bytes"]) == (2, {"TOPK_V2 float32": 1}, None)
    assert "1 of 2 operators" in result.output


def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(micro.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HRNetError) as error:
        run_micro(FILES / "lspet" / "links-int8.tflite")
    assert str(error.value) == NEEDS_MICRO
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(HRNetError, match=r"text\.tflite"):
        run_micro(tmp_path / "text.tflite")
    (tmp_path / "cut.tflite").write_bytes((FILES / "lspet" / "links-int8.tflite").read_bytes()[:9000])
    with pytest.raises(HRNetError, match=r"cut\.tflite"):
        run_micro(tmp_path / "cut.tflite")
