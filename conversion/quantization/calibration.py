"""Ranges of activations, measured on images for post-training quantization: int8, int16x8, and int8 by a recipe.

TFLite's own calibrator runs reference kernels on one thread, and it observes the input of an ADD after the ADD has overwritten
it: the range of the sum is merged into that of the summand (TensorFlow 2.21). The calibrator of litert-quantizer gives the range
of each image a weight of one twentieth, which cuts off the outermost values of most images. Here the float32 file is run as on a
device, by XNNPACK on every core, and every tensor is an output of the graph, so that its values are kept.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.interpreter import make_interpreter

Ranges = dict[int, tuple[float, float]]  # (low, high) by tensor index
ONE_BYTE_TYPES = (schema.TensorType.INT8, schema.TensorType.UINT8)


def with_ranges(flatbuffer: bytes, images: Iterable[NDArray[np.float32]], memory_budget: int = MEMORY_BUDGET) -> bytes:
    """Store the measured range of each tensor in a file; see `activation_ranges`.

    Returns:
        The same model with `min` and `max` in the quantization of its tensors.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    ranges = activation_ranges(flatbuffer, images, memory_budget=memory_budget)
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    [graph] = model.subgraphs
    for index, (low, high) in ranges.items():
        graph.tensors[index].quantization = schema.QuantizationParametersT(min=[low], max=[high])
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def activation_ranges(
    flatbuffer: bytes,
    images: Iterable[NDArray[np.float32]],
    percentile: float | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> Ranges:
    """Measure the range of each float tensor that is computed.

    Args:
        flatbuffer: A float32 `.tflite`.
        images: Inputs (H, W, C) of the model, or batches if it takes batches. They are iterated over several times if the
            tensors of one do not fit into `memory_budget`.
        percentile: Percent of the values of an image that its range holds, in the middle; ranges are averaged over images.
            None measures from the smallest to the largest value of all images.
        memory_budget: Memory for tensors, in bytes.
    """
    ranges: Ranges = {}
    graph_inputs = _graph(flatbuffer).inputs
    for tensors, file in with_outputs(flatbuffer, computed_floats(flatbuffer), memory_budget):
        ranges |= _measure(file, [*graph_inputs, *tensors], images, percentile)
    return ranges


def computed_floats(flatbuffer: bytes) -> list[int]:
    """Return the indices of the float32 tensors that are computed, in the order of the operators."""
    graph = _graph(flatbuffer)
    outputs = (int(index) for operator in graph.operators for index in operator.outputs)
    return [index for index in outputs if graph.tensors[index].type == schema.TensorType.FLOAT32]


def with_outputs(flatbuffer: bytes, tensors: Iterable[int], memory_budget: int) -> Iterator[tuple[list[int], bytes]]:
    """Make inner tensors the outputs of a file, so that their values can be read.

    An interpreter that preserves all tensors would need nine times the memory: it also preserves the unfolded inputs of
    convolutions.

    Args:
        flatbuffer: A `.tflite`.
        tensors: Indices of the tensors.
        memory_budget: Memory for the tensors of one file, in bytes.

    Yields:
        A group of `tensors`, and the file whose outputs they are.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    [graph] = model.subgraphs
    model.signatureDefs = []  # they name the outputs of the graph
    for group in _groups(graph, tensors, memory_budget):
        graph.outputs = group
        yield group, bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _graph(flatbuffer: bytes) -> schema.SubGraphT:
    from tensorflow.lite.tools import flatbuffer_utils

    [graph] = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer)).subgraphs
    return graph


def _groups(graph: schema.SubGraphT, tensors: Iterable[int], memory_budget: int) -> Iterator[list[int]]:
    group: list[int] = []
    group_bytes = 0
    for index in tensors:
        tensor = graph.tensors[index]
        size_bytes = (1 if tensor.type in ONE_BYTE_TYPES else 4) * int(np.prod(tensor.shape))
        if group and group_bytes + size_bytes > memory_budget:
            yield group
            group, group_bytes = [], 0
        group.append(index)
        group_bytes += size_bytes
    if group:
        yield group


def _measure(
    flatbuffer: bytes, tensors: Sequence[int], images: Iterable[NDArray[np.float32]], percentile: float | None
) -> Ranges:
    """Ranges of `tensors`, of which the first is the input."""
    image_ranges: list[NDArray[np.float64]] = []  # of each image, (tensors, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "all-tensors.tflite")
        path.write_bytes(flatbuffer)
        interpreter = make_interpreter(path, Backend(threads=os.cpu_count() or 1))
        shape = interpreter.get_input_details()[0]["shape"]
        for image in images:
            interpreter.set_tensor(tensors[0], image.reshape(shape))
            interpreter.invoke()
            values = (interpreter.get_tensor(index).astype(np.float32, copy=False) for index in tensors)
            image_ranges.append(np.array([_range(array, percentile) for array in values], np.float64))
    stacked = np.stack(image_ranges)
    if percentile is None:
        lows, highs = stacked[..., 0].min(axis=0), stacked[..., 1].max(axis=0)
    else:
        lows, highs = stacked.mean(axis=0).T
    return {index: (float(low), float(high)) for index, low, high in zip(tensors, lows, highs, strict=True)}


def _range(values: NDArray[np.float32], percentile: float | None) -> tuple[float, float]:
    """The range of one image's values."""
    if percentile is None:
        return float(values.min()), float(values.max())
    outside = (100 - percentile) / 2
    low, high = np.percentile(values, [outside, 100 - outside])
    return float(low), float(high)
