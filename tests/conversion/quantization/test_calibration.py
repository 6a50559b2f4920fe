"""Measured ranges, outputs with the values that the Keras model computes."""

from __future__ import annotations

import re
from pathlib import Path

import ai_edge_litert.schema_py_generated as schema
import numpy as np
import pytest
from numpy.typing import NDArray
from tensorflow.lite.tools import flatbuffer_utils

from conversion.flatbuffer import to_flatbuffer
from conversion.options import ConvertOptions
from conversion.quantization.calibration import activation_ranges, with_ranges
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.build import build_model
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.runtime.interpreter import make_interpreter

pytestmark = pytest.mark.slow
Ranges = dict[str, tuple[float, float]]


@pytest.fixture(scope="module")
def model(spec: HRNetSpec) -> KerasModel:
    keras.utils.set_random_seed(0)
    return build_model(spec, folded=True)


@pytest.fixture(scope="module")
def images(spec: HRNetSpec) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((3, *spec.input_size, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def float32(model: KerasModel) -> bytes:
    return to_flatbuffer(model, ConvertOptions("float32"), None)


def stored_ranges(flatbuffer: bytes) -> Ranges:
    """Ranges in a file, by the layer that computes the tensor."""
    [graph] = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer)).subgraphs
    ranges = {}
    for tensor in graph.tensors:
        if tensor.quantization is not None and tensor.quantization.min is not None and tensor.quantization.scale is None:
            name = re.split("[;/]", tensor.name.decode().split("/", 1)[-1])[0]
            ranges[name] = (float(tensor.quantization.min[0]), float(tensor.quantization.max[0]))
    return ranges


def test_ranges_match_the_keras_model(model: KerasModel, float32: bytes, images: NDArray[np.float32]) -> None:
    ranges = stored_ranges(with_ranges(float32, images))
    layers = [layer for layer in model.layers if layer.name in ranges]
    values = keras.Model(model.input, [layer.output for layer in layers]).predict_on_batch(images)
    assert sum("conv" in layer.name for layer in layers) > 30
    for layer, value in zip(layers, values, strict=True):
        np.testing.assert_allclose(ranges[layer.name], (value.min(), value.max()), rtol=1e-4, atol=1e-5, err_msg=layer.name)


def test_many_tensors_are_measured_in_groups(float32: bytes, images: NDArray[np.float32]) -> None:
    at_once = stored_ranges(with_ranges(float32, images))
    in_groups = stored_ranges(with_ranges(float32, images, memory_budget=200_000))
    assert at_once.keys() == in_groups.keys()
    for name, (low, high) in at_once.items():
        np.testing.assert_allclose(in_groups[name], (low, high), rtol=1e-5, atol=1e-6, err_msg=name)


def test_ranges_do_not_change_the_outputs(float32: bytes, images: NDArray[np.float32], tmp_path: Path) -> None:
    outputs = []
    for name, content in (("before", float32), ("after", with_ranges(float32, images))):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(content)
        interpreter = make_interpreter(path)
        assert list(interpreter.get_signature_list()) == ["serving_default"]
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images[:1])
        interpreter.invoke()
        [output] = interpreter.get_output_details()
        outputs.append(interpreter.get_tensor(output["index"]))
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_scales_of_int16x8_match_the_keras_model(model: KerasModel, images: NDArray[np.float32]) -> None:
    """The largest value of a layer is 32767 steps of its symmetric scale. TFLite widens the ranges of ADD inputs."""
    file = to_flatbuffer(model, ConvertOptions("int16x8"), images)
    [graph] = flatbuffer_utils.convert_bytearray_to_object(bytearray(file)).subgraphs
    layers = {layer.name: layer for layer in model.layers}
    outputs, steps = {}, {}
    for operator in graph.operators:
        tensor = graph.tensors[operator.outputs[0]]
        name = re.split("[;/]", tensor.name.decode().split("/", 1)[-1])[0]
        if tensor.type == schema.TensorType.INT16 and name in layers:
            outputs[name], steps[name] = layers[name].output, float(tensor.quantization.scale[0])
    values = keras.Model(model.input, list(outputs.values())).predict_on_batch(images)
    assert sum("conv" in name for name in outputs) > 20
    for name, value in zip(outputs, values, strict=True):
        assert 32767 * steps[name] == pytest.approx(np.abs(value).max(), rel=1e-3), name


def test_percentile_ranges(model: KerasModel, float32: bytes, images: NDArray[np.float32]) -> None:
    [graph] = flatbuffer_utils.convert_bytearray_to_object(bytearray(float32)).subgraphs
    actual = activation_ranges(float32, images, percentile=90.0)[graph.outputs[0]]
    heatmaps = model.predict_on_batch(images).reshape(len(images), -1)
    expected = np.mean([np.percentile(values, [5, 95]) for values in heatmaps], axis=0)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5)
