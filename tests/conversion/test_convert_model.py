"""Conversion of Keras models without a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conversion.convert import convert
from conversion.options import ConvertOptions
from conversion.quantization.quantization_recipe import QuantizationRecipe
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.interpreter import make_interpreter

LEAST_SNR_DB = {"float32": 80, "float16": 50, "int8": 20}


@pytest.fixture(scope="module")
def model() -> KerasModel:
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    features = keras.layers.Conv2D(8, 3, activation="relu", name="stem_conv1")(image)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return keras.Model(image, keras.layers.Dense(5, name="head_logits")(pooled), name="classifier")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)


def run_file(path: Path, stored: np.ndarray) -> np.ndarray:
    """Dequantized output of a file with one output, for the values `stored` in its input tensor."""
    interpreter = make_interpreter(path)
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(source["index"], stored)
    interpreter.invoke()
    values, (scale, zero_point) = interpreter.get_tensor(target["index"]).astype(np.float64), target["quantization"]
    return (values - zero_point) * scale if scale else values


def snr_db(expected: np.ndarray, actual: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(np.square(expected)) / np.sum(np.square(expected - actual))))


@pytest.mark.parametrize("name", LEAST_SNR_DB)
def test_every_format_is_near_the_keras_model(name: str, model: KerasModel, images: np.ndarray, tmp_path: Path) -> None:
    inputs = images.astype(np.float32) / 255
    [parity] = convert(model, tmp_path / "m.tflite", inputs, ConvertOptions(name, "float32", "float32"))
    assert (parity.images, parity.output) == (16, "output")
    assert parity.snr_db > LEAST_SNR_DB[name]
    expected = np.asarray(model(inputs[:16]))
    actual = np.concatenate([run_file(tmp_path / "m.tflite", image[None]) for image in inputs[:16]])
    assert parity.snr_db == pytest.approx(snr_db(expected, actual), abs=0.1)
    assert parity.max_error == pytest.approx(np.abs(expected - actual).max(), abs=1e-6)


def test_camera_input_and_softmax(model: KerasModel, images: np.ndarray, tmp_path: Path) -> None:
    options = ConvertOptions("int8", "uint8-rgb", "float32", softmax=True)
    [parity] = convert(model, tmp_path / "m.tflite", images, options)
    assert parity.output == "output"
    probabilities = run_file(tmp_path / "m.tflite", images[:1])
    assert probabilities.sum() == pytest.approx(1, abs=0.02)
    normalized = (images[:1] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    logits = np.asarray(model(normalized.astype(np.float32)), np.float64)
    np.testing.assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(), atol=0.03)


@pytest.mark.slow
def test_float_layers_of_a_recipe(model: KerasModel, images: np.ndarray, tmp_path: Path) -> None:
    inputs = images.astype(np.float32) / 255
    [int8] = convert(model, tmp_path / "int8.tflite", inputs)
    recipe = QuantizationRecipe(("stem", "head"))
    [mixed] = convert(model, tmp_path / "mixed.tflite", inputs, quantization_recipe=recipe)
    assert mixed.snr_db > int8.snr_db


def test_rejected_files_are_kept(model: KerasModel, images: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match=r"1e-09.*m\.tflite\.rejected"):
        convert(model, tmp_path / "m.tflite", images / np.float32(255), ConvertOptions("int8", max_error=1e-9))
    assert [path.name for path in tmp_path.iterdir()] == ["m.tflite.rejected"]


def test_no_representative_data(model: KerasModel, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match="`representative_data`"):
        convert(model, tmp_path / "m.tflite", [])
