"""Dense layers as convolutions: the same integers, on operators that the Edge TPU maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conversion.flatbuffer import to_flatbuffer
from conversion.options import ConvertOptions
from conversion.quantization.samples import Inputs
from conversion.targets.dense_layers import with_convolutions
from conversion.targets.edgetpu import check_edgetpu
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.interpreter import make_interpreter

ROWS, SIZE, CHANNELS, CLASSES = 5, 7, 8, 3


@pytest.fixture(scope="module")
def box_head() -> KerasModel:
    """Two dense layers with ReLU, and two outputs; one layer has no bias."""
    keras.utils.set_random_seed(0)
    pooled = keras.Input((SIZE, SIZE, CHANNELS))
    x = keras.layers.Dense(16, "relu", bias_initializer="random_normal")(keras.layers.Reshape((-1,))(pooled))
    x = keras.layers.Dense(12, "relu", use_bias=False)(x)
    logits, deltas = (keras.layers.Dense(units, name=name)(x) for name, units in (("logits", CLASSES), ("deltas", 4 * CLASSES)))
    return keras.Model(pooled, {"logits": logits, "deltas": deltas})


def outputs(path: Path, features: np.ndarray) -> list[np.ndarray]:
    interpreter = make_interpreter(path)
    [source] = interpreter.get_input_details()
    interpreter.set_tensor(source["index"], features.reshape(source["shape"]).astype(source["dtype"]))
    interpreter.invoke()
    return [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]


@pytest.mark.parametrize("output_type", [None, "float32"])
def test_same_integers(box_head: KerasModel, output_type: str | None, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pooled = rng.random((4, ROWS, SIZE, SIZE, CHANNELS)).astype(np.float32)
    dense = to_flatbuffer(box_head, ConvertOptions("int8", None, output_type), Inputs.of(pooled), ROWS)
    before, after = tmp_path / "dense.tflite", tmp_path / "convolutions.tflite"
    before.write_bytes(dense)
    after.write_bytes(with_convolutions(dense))
    features = rng.integers(-128, 128, (ROWS, SIZE, SIZE, CHANNELS))
    for expected, actual in zip(outputs(before, features), outputs(after, features), strict=True):
        assert actual.shape == (1, ROWS, 1, expected.shape[1])
        np.testing.assert_array_equal(actual[0, :, 0], expected)
        assert len(np.unique(expected)) > CLASSES
    if output_type is None:
        assert not check_edgetpu(before).mapped
        assert len(check_edgetpu(after).mapped) == 4


def test_other_models_are_refused(tmp_path: Path) -> None:
    pooled = keras.Input((SIZE, SIZE, CHANNELS))
    other = keras.Model(pooled, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(pooled)))
    inputs = Inputs.of(np.ones((1, SIZE, SIZE, CHANNELS), np.float32))
    with pytest.raises(HRNetError, match="other operators than the second file"):
        with_convolutions(to_flatbuffer(other, ConvertOptions("int8"), inputs))
