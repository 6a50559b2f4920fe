"""Ranges of activations from real images, for every format that is quantized post-training: int8, int16x8, int8 by a recipe.

TFLite's own calibrator runs reference kernels on one thread, and it looks at what went into an ADD after the ADD has written
over it: the range of the sum is added to that of the summand (TensorFlow 2.21). That of LiteRT's quantizer gives each image's
range a twentieth of the weight, so that the outermost values of most images are cut off. Here the float32 file is run as a
device runs it, by XNNPACK on every core, with every tensor an output of the graph, so that it is kept.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.interpreter import make_interpreter

Ranges = dict[int, tuple[float, float]]  # of tensors by their indices
BYTES = (schema.TensorType.INT8, schema.TensorType.UINT8)  # types of one byte


def with_ranges(flatbuffer: bytes, images: Iterable[NDArray[np.float32]], memory_budget: int = MEMORY_BUDGET) -> bytes:
    """The same file with the smallest and largest value that each tensor takes on `images` (H, W, 3) or batches.

    See `activation_ranges` for `memory_budget`.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    measured = activation_ranges(flatbuffer, images, memory_budget=memory_budget)
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    [graph] = model.subgraphs
    for index, (low, high) in measured.items():
        graph.tensors[index].quantization = schema.QuantizationParametersT(min=[low], max=[high])
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def activation_ranges(
    flatbuffer: bytes,
    images: Iterable[NDArray[np.float32]],
    percentile: float | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> Ranges:
    """The smallest and the largest value that each float tensor takes on `images` (H, W, 3) or batches.

    Only so many tensors are kept at a time as fit into `memory_budget` (bytes): of large images the network is run several times.
    With a `percentile` those between which this share of an image's values lies, both sides together, averaged over images.
    """
    measured: Ranges = {}
    graph_inputs = _graph(flatbuffer).inputs
    for tensors, keeping in files_keeping(flatbuffer, computed_floats(flatbuffer), memory_budget):
        measured |= _ranges(keeping, [*graph_inputs, *tensors], images, percentile)
    return measured


def _graph(flatbuffer: bytes) -> Any:
    from tensorflow.lite.tools import flatbuffer_utils

    [graph] = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer)).subgraphs
    return graph


def computed_floats(flatbuffer: bytes) -> list[int]:
    """Indices of the float tensors that are computed, in the order of the operators."""
    graph = _graph(flatbuffer)
    outputs = (int(index) for operator in graph.operators for index in operator.outputs)
    return [index for index in outputs if graph.tensors[index].type == schema.TensorType.FLOAT32]


def files_keeping(flatbuffer: bytes, tensors: Iterable[int], memory_budget: int) -> Iterator[tuple[list[int], bytes]]:
    """`tensors` (indices) in groups that fit into `memory_budget` (bytes), each with a file whose outputs they are.

    An interpreter that preserves all tensors would do it at once, but it also preserves what each convolution unfolds its input
    into, nine times as large.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    [graph] = model.subgraphs
    model.signatureDefs = []  # they name the graph's outputs
    for group in _groups(graph, tensors, memory_budget):
        graph.outputs = group
        yield group, bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _groups(graph: Any, tensors: Iterable[int], memory_budget: int) -> Iterator[list[int]]:
    group: list[int] = []
    size = 0
    for index in tensors:
        tensor = graph.tensors[index]
        own = (1 if tensor.type in BYTES else 4) * int(np.prod(tensor.shape))
        if group and size + own > memory_budget:
            yield group
            group, size = [], 0
        group.append(index)
        size += own
    if group:
        yield group


def _ranges(flatbuffer: bytes, tensors: Sequence[int], images: Iterable[NDArray[np.float32]], percentile: float | None) -> Ranges:
    ends: list[NDArray[np.float64]] = []  # of each image, (tensors, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "all-tensors.tflite")
        path.write_bytes(flatbuffer)
        interpreter: Any = make_interpreter(path, Backend(threads=os.cpu_count() or 1))
        shape = interpreter.get_input_details()[0]["shape"]
        for image in images:
            interpreter.set_tensor(tensors[0], image.reshape(shape))
            interpreter.invoke()
            ends.append(np.array([_ends(interpreter.get_tensor(index), percentile) for index in tensors], np.float64))
    together = np.stack(ends)
    if percentile is None:
        low, high = together[..., 0].min(axis=0), together[..., 1].max(axis=0)
    else:
        low, high = together.mean(axis=0).T
    return {index: (float(least), float(most)) for index, least, most in zip(tensors, low, high, strict=True)}


def _ends(values: NDArray[np.float32], percentile: float | None) -> tuple[float, float]:
    """What counts as the smallest and as the largest of one image's values."""
    if percentile is None:
        return float(values.min()), float(values.max())
    outside = (100 - percentile) / 2
    low, high = np.percentile(values, [outside, 100 - outside])
    return float(low), float(high)
