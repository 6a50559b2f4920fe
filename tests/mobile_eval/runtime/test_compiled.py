"""Accelerators of LiteRT: the same outputs as the interpreter, or one line that says why there are none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.runtime.backend import Backend, Delegate
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.runtime.native_output import captured_lines
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.mobile_eval.conftest import Invoke, People, one_line

GPU_TOLERANCE = 0.03  # of the largest value: the GPU computes in 16 bit


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), np.uint8)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_cpu_has_the_outputs_of_the_interpreter(precision: str, model_path: Callable[..., Path], crops: np.ndarray) -> None:
    path = model_path(precision)
    compiled = TFLiteModel(path, Backend(accelerator="cpu"))
    np.testing.assert_array_equal(compiled.predict(crops), TFLiteModel(path).predict(crops))
    assert "does not report" in str(compiled.placement)


def test_every_command_takes_it(model_path: Callable[..., Path], people: People, invoke: Invoke) -> None:
    path, data = model_path("int8"), ("--annotations", people.annotations, "--images", people.images)
    outputs = [invoke("evaluate", path, *data, *options)[1] for options in ((), ("--accelerator", "cpu"))]
    figures = [[line for line in output.splitlines() if "operators" not in line] for output in outputs]
    assert figures[0] == figures[1] != []
    code, output, error = invoke("benchmark", path, path, "--rounds", "3", "--no-memory", "--accelerator", "cpu")
    assert (code, error.strip()) == (0, "")
    assert "ratio" in output


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VK_DRIVER_FILES", os.devnull)
    monkeypatch.setenv("VK_ICD_FILENAMES", os.devnull)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("accelerator", ["gpu", "npu"])
def test_absent_accelerators(accelerator: str, model_path: Callable[..., Path], invoke: Invoke) -> None:
    code, _, error = invoke("benchmark", model_path(), "--accelerator", accelerator)
    assert code == 2
    assert f"no {accelerator.upper()} was found" in one_line(error)


COMPARISON = """
import sys
import numpy as np
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.tflite_model import TFLiteModel
crops = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), np.uint8)
model, expected = TFLiteModel(sys.argv[1], Backend(accelerator="gpu")), TFLiteModel(sys.argv[1]).predict(crops)
error = np.abs(model.predict(crops) - expected).max() / np.abs(expected).max()
print(model.placement.delegated == model.placement.operators, error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_gpu(precision: str, model_path: Callable[..., Path]) -> None:
    """In another process: with the LLVM of TensorFlow in this one, that of Mesa's software driver crashes."""
    command = [sys.executable, "-c", COMPARISON, model_path(precision)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if "no GPU was found" in ended.stderr:
        pytest.skip("no GPU was found")
    assert ended.returncode == 0, ended.stderr[-2000:]
    takes_all, error = ended.stdout.split()
    assert (takes_all, ended.stderr) == ("True", "")
    assert float(error) <= GPU_TOLERANCE


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"accelerator": "tpu"}, ("accelerator", "tpu")),
        ({"accelerator": "gpu", "runtime": "tflite-runtime"}, ("accelerator", "tflite-runtime")),
        ({"accelerator": "cpu", "delegate": Delegate("edgetpu")}, ("accelerator", "delegate")),
        ({"accelerator": "cpu", "xnnpack": False}, ("accelerator", "xnnpack")),
        ({"accelerator": "cpu", "reference": True}, ("accelerator", "reference")),
    ],
)
def test_bad_combinations(fields: dict[str, object], words: tuple[str, ...]) -> None:
    with pytest.raises(HRNetError) as error:
        Backend(**fields)  # type: ignore[arg-type]
    assert all(word in str(error.value) for word in words)


def test_no_inner_tensors(model_path: Callable[..., Path]) -> None:
    with pytest.raises(HRNetError, match="accelerator"):
        make_interpreter(model_path(), Backend(accelerator="cpu"), keep_tensors=True)


def test_native_lines_are_captured() -> None:
    with captured_lines((1, 2)) as lines:
        os.write(2, b"one\n")
        os.write(1, b"two\n")
    assert lines == [b"one\n", b"two\n"]


PRINTING = """
import ctypes
from mobile_eval.runtime.native_output import captured_lines
library = ctypes.CDLL(None)
library.puts(b"before")
with captured_lines((1,)) as lines:
    library.puts(b"inside")
library.puts(b"after")
library.fflush(None)
print(lines)
"""


def test_buffered_lines_of_native_code_are_captured() -> None:
    """C holds back what it prints into a pipe."""
    ended = subprocess.run([sys.executable, "-c", PRINTING], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["before", "after", "[b'inside\\n']"]
