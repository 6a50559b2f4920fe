"""Conversion of Keras models that contain no network of the package, and bad input of all models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conversion.convert import ConvertedModel, convert
from conversion.quantization.quantization_recipe import QuantizationRecipe
from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.networks import HRNet, HRNetBackbone
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.support.own_heads import SIZE, SIZES

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
    file = convert(
        model, tmp_path / "m.tflite", representative_data=inputs, format=name, input_type="float32", output_type="float32"
    )
    [parity] = file.conversion.parities
    assert (parity.images, parity.output) == (16, "class-scores")
    assert parity.snr_db > LEAST_SNR_DB[name]
    expected = np.asarray(model(inputs[:16]))
    actual = np.concatenate([run_file(tmp_path / "m.tflite", image[None]) for image in inputs[:16]])
    assert parity.snr_db == pytest.approx(snr_db(expected, actual), abs=0.1)
    assert parity.max_error == pytest.approx(np.abs(expected - actual).max(), abs=1e-6)
    np.testing.assert_allclose(file.predict(inputs[:16]), actual, atol=1e-6)


def test_file_is_described_and_stands_for_its_path(model: KerasModel, images: np.ndarray, tmp_path: Path) -> None:
    file = convert(model, tmp_path / "m.tflite", format="float32", labels=["a", "b", "c", "d", "e"])
    assert isinstance(file, ConvertedModel)
    assert Path(file) == file.path == tmp_path / "m.tflite"
    assert "random images" in str(file)
    description = TFLiteModel(file).description
    assert (description.task, description.classes, description.network) == ("classification", ("a", "b", "c", "d", "e"), {})
    assert description.parameters == model.count_params()
    assert description.multiply_adds == 14 * 14 * 8 * 27 + 8 * 5


def test_bytes_are_normalized_for_calibration_as_for_prediction(model: KerasModel, images: np.ndarray, tmp_path: Path) -> None:
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    file = convert(model, tmp_path / "m.tflite", representative_data=images, mean=mean, std=std)
    assert file.conversion.parity.snr_db > 20
    expected = np.asarray(model((images[:4] / np.float32(255) - 0.5) / 0.25))
    assert snr_db(expected, file.predict(images[:4])) > 20


def test_camera_input_and_softmax(model: KerasModel, images: np.ndarray, tmp_path: Path) -> None:
    normalized = ((images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).astype(np.float32)
    options = {"input_type": "uint8-rgb", "output_type": "float32", "softmax": True}
    file = convert(model, tmp_path / "m.tflite", representative_data=images, **options)
    probabilities = run_file(tmp_path / "m.tflite", images[:1])
    assert probabilities.sum() == pytest.approx(1, abs=0.02)
    logits = np.asarray(model(normalized[:1]), np.float64)
    np.testing.assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(), atol=0.03)
    np.testing.assert_allclose(file.predict(images[:1]), probabilities, atol=1e-6)
    of_floats = convert(model, tmp_path / "floats.tflite", representative_data=normalized, **options)
    np.testing.assert_array_equal(of_floats.predict(images), file.predict(images))


def test_model_that_ends_in_softmax_has_probabilities(images: np.ndarray, tmp_path: Path) -> None:
    image = keras.Input((16, 16, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    own = keras.Model(image, keras.layers.Dense(5, activation="softmax")(pooled))
    file = convert(own, tmp_path / "m.tflite", format="float32", softmax=True)
    assert file.description.output.softmax
    np.testing.assert_allclose(file.predict(images[:2]).sum(axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_float_layers_of_a_recipe(model: KerasModel, images: np.ndarray, tmp_path: Path) -> None:
    inputs = images.astype(np.float32) / 255
    int8 = convert(model, tmp_path / "int8.tflite", representative_data=inputs)
    recipe = QuantizationRecipe(("stem", "head"))
    mixed = convert(model, tmp_path / "mixed.tflite", representative_data=inputs, quantization_recipe=recipe)
    assert mixed.conversion.parity.snr_db > int8.conversion.parity.snr_db


def test_rejected_files_are_kept(model: KerasModel, images: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match=r"1e-09.*m\.tflite\.rejected"):
        convert(model, tmp_path / "m.tflite", representative_data=images / np.float32(255), max_error=1e-9)
    assert [path.name for path in tmp_path.iterdir()] == ["m.tflite.rejected"]


BAD_DATA = {
    "none": None,
    "empty": [],
    "other size": np.zeros((2, 8, 8, 3), np.uint8),
    "NaN": np.full((1, 16, 16, 3), np.nan),
    "text": "images",
    "wide integers": np.full((1, 16, 16, 3), 256),
}


@pytest.mark.parametrize("data", BAD_DATA.values(), ids=BAD_DATA)
def test_bad_representative_data(data: object, model: KerasModel, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match="`representative_data`"):
        convert(model, tmp_path / "m.tflite", representative_data=data)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"task": "juggling"}, "`task`.*juggling"),
        ({"task": "pose"}, r"`task` pose needs one output, \(N, height, width, channels\)"),
        ({"task": "detection"}, "`task` detection"),
        ({"labels": ["a", "b"]}, "`labels` must be 5 different names.*got 2"),
        ({"labels": ["a", "a", "b", "c", "d"]}, "`labels`"),
        ({"labels": "abcde"}, "`labels`"),
        ({"skeleton": [(0, 1)]}, "`skeleton` is for key points"),
        ({"flip_pairs": [(0, 1)]}, "`flip_pairs` is for key points"),
        ({"mean": (0.5, 0.5)}, "`mean`"),
        ({"std": (0.0, 1.0, 1.0)}, "`std`"),
        ({"samples": 0}, "`samples`"),
        ({"format": "int4"}, "`format`"),
        ({"decode": True}, "`decode`"),
    ],
)
def test_bad_arguments(said: dict[str, object], message: str, model: KerasModel, images: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match=message):
        convert(model, tmp_path / "m.tflite", representative_data=images, **said)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_maps_need_a_task_and_a_skeleton_within_them(tmp_path: Path) -> None:
    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    own = keras.Model(backbone.input, keras.layers.Conv2D(5, 1)(backbone.pyramid_outputs["P2"]), name="own")
    with pytest.raises(HRNetError, match=r"`task` is needed.*\(N, 16, 16, 5\) of own"):
        convert(own, tmp_path / "m.tflite", format="float32")
    with pytest.raises(HRNetError, match=r"`skeleton`.*5"):
        convert(own, tmp_path / "m.tflite", format="float32", task="pose", skeleton=[(0, 5)])
    with pytest.raises(HRNetError, match=r"`flip_pairs`.*tail"):
        convert(own, tmp_path / "m.tflite", format="float32", task="pose", labels=list("abcde"), flip_pairs=[("a", "tail")])
    odd = keras.Model(backbone.input, keras.layers.Cropping2D(1)(own.output), name="odd")
    with pytest.raises(HRNetError, match="`task` pose needs maps whose size divides"):
        convert(odd, tmp_path / "m.tflite", format="float32", task="pose")
    assert not any(tmp_path.iterdir())


def test_models_that_cannot_be_converted(tmp_path: Path) -> None:
    image, extra = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    two_inputs = keras.Model([image, extra], keras.layers.Add()([image, extra]))
    with pytest.raises(HRNetError, match="one input"):
        convert(two_inputs, tmp_path / "m.tflite", format="float32")
    gray = keras.Input((16, 16, 1))
    with pytest.raises(HRNetError, match="one input, images"):
        convert(keras.Model(gray, keras.layers.Flatten()(gray)), tmp_path / "m.tflite", format="float32")
    with pytest.raises(HRNetError, match="BesselI0e"):
        convert(keras.Model(image, tf.math.special.bessel_i0e(pooled)), tmp_path / "m.tflite", format="float32")
    own = HRNet("pose-small-v1", outputs=5, **SIZES)
    weights = own.get_layer("stem_conv1").get_weights()
    own.get_layer("stem_conv1").set_weights([np.full_like(weights[0], np.nan)])
    with pytest.raises(HRNetError, match=r"`model`.*stem_conv1/kernel"):
        convert(own, tmp_path / "m.tflite", representative_data=np.zeros((1, SIZE, SIZE, 3), np.uint8))
    assert not any(tmp_path.iterdir())
