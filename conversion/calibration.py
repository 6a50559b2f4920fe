"""Ranges of activations from real images, for post-training int8, written into a float32 `.tflite`.

TFLite's own calibrator runs reference kernels on one thread, and it looks at what went into an ADD after the ADD has written
over it: the range of the sum is added to that of the summand (TensorFlow 2.21; int16x8 still has its ranges from there). Here
the file is run as a device runs it, by XNNPACK on every core, with every tensor an output of the graph, so that it is kept.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from mobile_eval.backend import Backend
from mobile_eval.runtime import make_interpreter

AT_ONCE_BYTES = 2**30  # of tensors that are kept at a time; networks of large images are run several times


def with_ranges(flatbuffer: bytes, images: NDArray[np.float32]) -> bytes:
    """The same file with the smallest and largest value that each tensor takes on `images` (N, H, W, 3) or batches."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    [graph] = model.subgraphs
    outputs, signatures = graph.outputs, model.signatureDefs
    model.signatureDefs = []  # they name the graph's outputs
    measured: dict[int, tuple[float, float]] = {}
    for tensors in _groups(graph):
        graph.outputs = tensors
        measured |= _ranges(flatbuffer_utils.convert_object_to_bytearray(model), [*graph.inputs, *tensors], images)
    graph.outputs, model.signatureDefs = outputs, signatures
    for index, (low, high) in measured.items():
        graph.tensors[index].quantization = schema.QuantizationParametersT(min=[low], max=[high])
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _groups(graph: Any) -> Iterator[list[int]]:
    """The float tensors that are computed, in groups that are not too large to be kept."""
    group: list[int] = []
    size = 0
    for index in (int(index) for operator in graph.operators for index in operator.outputs):
        tensor = graph.tensors[index]
        if tensor.type != schema.TensorType.FLOAT32:
            continue
        own = 4 * int(np.prod(tensor.shape))
        if group and size + own > AT_ONCE_BYTES:
            yield group
            group, size = [], 0
        group.append(index)
        size += own
    if group:
        yield group


def _ranges(flatbuffer: bytes, tensors: Sequence[int], images: NDArray[np.float32]) -> dict[int, tuple[float, float]]:
    lowest, highest = np.full(len(tensors), np.inf), np.full(len(tensors), -np.inf)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "all-tensors.tflite")
        path.write_bytes(flatbuffer)
        interpreter: Any = make_interpreter(path, Backend(threads=os.cpu_count() or 1))
        shape = interpreter.get_input_details()[0]["shape"]
        for image in images:
            interpreter.set_tensor(tensors[0], image.reshape(shape))
            interpreter.invoke()
            values = [interpreter.get_tensor(index) for index in tensors]
            lowest = np.minimum(lowest, [value.min() for value in values])
            highest = np.maximum(highest, [value.max() for value in values])
    return {index: (float(low), float(high)) for index, low, high in zip(tensors, lowest, highest, strict=True)}
