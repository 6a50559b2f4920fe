"""Inference with .tflite files, against Keras."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD, normalize
from mobile_eval.model.description import ModelInput, ModelOutput, OutputTensor, TensorFormat
from mobile_eval.runtime import interpreter as runtime
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.interpreter import find_runtime, make_interpreter
from mobile_eval.runtime.native_output import without_info_lines
from mobile_eval.runtime.quantization import dequantize, quantize
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.registry import task_of
from tests.mobile_eval.conftest import SIZE, MicroModels

ROOT = Path(__file__).parents[3]
CROPS = np.random.default_rng(5).integers(0, 256, (3, *SIZE, 3), np.uint8)


def test_float_model_matches_keras(model_path: Callable[..., Path], micro: MicroModels) -> None:
    heatmaps = TFLiteModel(model_path()).heatmaps(CROPS)
    expected = micro.keras(normalize(CROPS)).numpy()
    assert heatmaps.shape == (3, 16, 12, 17)
    assert heatmaps.dtype == np.float32
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(heatmaps, expected, atol=1e-4)


def test_int8_model_is_close_to_keras(model_path: Callable[..., Path], micro: MicroModels) -> None:
    expected = micro.keras(normalize(CROPS)).numpy()
    heatmaps = TFLiteModel(model_path("int8")).heatmaps(CROPS)
    assert np.abs(heatmaps - expected).mean() < 0.05 * np.ptp(expected)


def test_normalized_crops_give_the_same_heatmaps(model_path: Callable[..., Path]) -> None:
    model = TFLiteModel(model_path())
    np.testing.assert_array_equal(model.heatmaps(CROPS), model.heatmaps(normalize(CROPS)))


def test_model_stands_for_its_path_and_takes_threads(model_path: Callable[..., Path]) -> None:
    model = TFLiteModel(TFLiteModel(model_path()), threads=2)
    assert (os.fspath(model), model.backend.threads) == (str(model_path()), 2)
    np.testing.assert_array_equal(model.predict(list(CROPS)), model.heatmaps(CROPS))
    with pytest.raises(HRNetError, match="`backend`"):
        TFLiteModel(model_path(), Backend(), threads=2)


def test_outputs_of_no_task_are_predicted(model_path: Callable[..., Path], micro: MicroModels) -> None:
    tensor = OutputTensor("depth", (1, 16, 12, 17), "int8", "depth of the scene")
    changes = {"output": ModelOutput("tensors", 0, micro.formats["int8"][1]), "task": "custom", "outputs": (tensor,)}
    model = TFLiteModel(model_path("int8", "custom", category=KeypointCategory("custom", ()), **changes))
    assert model.output_names == ("depth",)
    np.testing.assert_array_equal(model.predict(CROPS), TFLiteModel(model_path("int8")).heatmaps(CROPS))
    with pytest.raises(HRNetError, match=r"cannot be evaluated.*depth"):
        task_of(model)
    reordered = dataclasses.replace(tensor, shape=(1, 12, 16, 17))
    with pytest.raises(HRNetError, match=r"depth is \(1, 16, 12, 17\)"):
        TFLiteModel(model_path("int8", "other", category=KeypointCategory("custom", ()), **changes | {"outputs": (reordered,)}))


@pytest.mark.parametrize(("images", "message"), [(CROPS.astype(np.int64), "int64"), (CROPS[:0], "at least one")])
def test_images_that_cannot_be_predicted(images: np.ndarray, message: str, model_path: Callable[..., Path]) -> None:
    with pytest.raises(HRNetError, match=message):
        TFLiteModel(model_path()).predict(images)


def test_quantization_round_trip() -> None:
    tensor = TensorFormat("int8", 0.02, -10)
    values = np.linspace(-2.3, 2.7, 101, dtype=np.float32)
    stored = quantize(values, tensor)
    assert stored.dtype == np.int8
    np.testing.assert_allclose(dequantize(stored, tensor), values, atol=0.01 + 1e-6)
    assert quantize(np.array([9.0, -9.0], np.float32), tensor).tolist() == [127, -128]
    assert quantize(np.array([0.0], np.float32), tensor).tolist() == [-10]


def test_wrong_input_size_is_refused(model_path: Callable[..., Path]) -> None:
    source = ModelInput((128, 96), IMAGENET_MEAN, IMAGENET_STD, TensorFormat("float32"))
    with pytest.raises(HRNetError, match=r"\(1, 64, 48, 3\) float32.*\(1, 128, 96, 3\)"):
        TFLiteModel(model_path(input=source))
    with pytest.raises(HRNetError, match=r"\(N, 64, 48, 3\).*\(1, 48, 64, 3\)"):
        TFLiteModel(model_path()).heatmaps(np.zeros((1, 48, 64, 3), np.uint8))


def test_tensors_that_differ_from_the_description_are_refused(model_path: Callable[..., Path], micro: MicroModels) -> None:
    source, target = micro.formats["int8"]
    with pytest.raises(HRNetError, match=r"output .*\(1, 16, 12, 17\).*\(1, 8, 6, 17\)"):
        TFLiteModel(model_path(output=ModelOutput("heatmaps", 8, TensorFormat("float32"))))
    assert target.scale
    rescaled = ModelOutput("heatmaps", 4, TensorFormat("int8", 2 * target.scale, target.zero_point))
    with pytest.raises(HRNetError, match=rf"output .*{re.escape(f'{2 * target.scale:g}')}"):
        TFLiteModel(model_path("int8", output=rescaled))
    with pytest.raises(HRNetError, match=r"input .* int8.* float32"):
        TFLiteModel(model_path("int8", input=ModelInput(SIZE, IMAGENET_MEAN, IMAGENET_STD, TensorFormat("float32"))))
    assert source.dtype == "int8"


def test_settings_are_checked(model_path: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HRNetError, match="got 0"):
        make_interpreter(model_path(), Backend(threads=0))
    with pytest.raises(HRNetError, match="'onnx'"):
        find_runtime("onnx")
    monkeypatch.setattr(runtime, "RUNTIMES", {"ai-edge-litert": "no_such_module.interpreter"})
    with pytest.raises(HRNetError, match="ai-edge-litert"):
        find_runtime()


def test_litert_comes_before_tflite_runtime() -> None:
    assert list(runtime.RUNTIMES) == ["ai-edge-litert", "tflite-runtime"]


def test_native_code_prints_no_info_lines(model_path: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    with without_info_lines():
        os.write(2, b"INFO: Created a delegate.\nERROR: out of memory\n")
    assert capfd.readouterr().err == "ERROR: out of memory\n"
    program = f"from mobile_eval.runtime.interpreter import make_interpreter; make_interpreter({str(model_path())!r})"
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert process.stderr == process.stdout == ""


def test_find_runtime() -> None:
    installed = find_runtime()
    assert installed.name in ("ai-edge-litert", "tflite-runtime")
    assert installed.version[0].isdigit()


def test_unrunnable_flatbuffer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(200))
    with pytest.raises(HRNetError, match=r"m\.tflite"):
        make_interpreter(path)
