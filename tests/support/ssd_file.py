"""A small detector of the kind that other packages make: its graph ends in the operator `TFLite_Detection_PostProcess`.

Its network is a grid of cells. A cell's anchor is a person where the cell is red, and a dog where it is blue.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from numpy.typing import NDArray

CELL, ROWS, COLUMNS = 8, 4, 6
SIZE = (CELL * ROWS, CELL * COLUMNS)  # of the input
CLASSES = ("person", "dog")
ANCHORS = ROWS * COLUMNS
NAMES = ("TFLite_Detection_PostProcess", *(f"TFLite_Detection_PostProcess:{index}" for index in (1, 2, 3)))
STEEPNESS = 40.0  # of the score over the share of red or blue


def cell_box(row: int, column: int, size: tuple[int, int]) -> list[float]:
    """Box (x, y, width, height) of a cell in an image of that size (height, width)."""
    height, width = size[0] / ROWS, size[1] / COLUMNS
    return [column * width, row * height, width, height]


def scene(cells: dict[tuple[int, int], str], size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """An image (H, W, 3), RGB, with a person or a dog in cells (row, column)."""
    grid = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    for place, name in cells.items():
        grid[place] = (255, 0, 0) if name == "person" else (0, 0, 255)
    return np.asarray(cv2.resize(grid, size[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)


def write_ssd(
    path: Path,
    *,
    dtype: str = "uint8",
    order: Sequence[int] = (0, 1, 2, 3),
    names: Sequence[str] = NAMES,
    labels: str | None = "person\ndog\n",
    normalization: tuple[float, float] | None = None,
    detections: int = 10,
    growth: float = 0.0,
) -> Path:
    """Write the detector.

    Args:
        path: The file.
        dtype: Type of the input, "uint8" or "float32". Floats are from -1 to 1, or as `normalization` says.
        order: Order of the outputs boxes, classes, scores and count in the graph.
        names: Their names.
        labels: Content of the label file within; None for none.
        normalization: Mean and standard deviation in TFLite metadata.
        detections: Number of boxes that the operator returns.
        growth: Encoded position and size of every box; 0 for the anchors.
    """
    graph = _Graph()
    source = graph.tensor("image", (1, *SIZE, 3), dtype, quantization=(1 / 127.5, 128) if dtype == "uint8" else None)
    image = source
    if dtype == "uint8":
        image = graph.tensor("real", (1, *SIZE, 3), "float32")
        graph.add("DEQUANTIZE", [source], [image])
    kernels = np.zeros((len(CLASSES) + 1, CELL, CELL, 3), np.float32)
    mean, std = normalization or (127.5, 127.5)
    kernels[1, :, :, 0] = kernels[2, :, :, 2] = STEEPNESS / CELL**2 * std / 255
    offset = 0.75 * STEEPNESS - STEEPNESS * mean / 255
    logits = graph.convolution(image, kernels, np.array([-20, -offset, -offset], np.float32))
    places = graph.convolution(image, np.zeros((4, CELL, CELL, 3), np.float32), np.full(4, growth, np.float32))
    scores = graph.tensor("probabilities", (1, ANCHORS, len(CLASSES) + 1), "float32")
    graph.add("LOGISTIC", [graph.reshape(logits, (1, ANCHORS, len(CLASSES) + 1))], [scores])
    outputs = _postprocess(graph, graph.reshape(places, (1, ANCHORS, 4)), scores, names, detections)
    data = graph.packed([source], [outputs[index] for index in order], normalization)
    buffer = io.BytesIO(data)
    if labels is not None:
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr("labelmap.txt", labels)
    path.write_bytes(buffer.getvalue())
    return path


def _postprocess(graph: _Graph, places: int, scores: int, names: Sequence[str], detections: int) -> list[int]:
    """Add the operator; returns its outputs boxes, classes, scores and count."""
    rows, columns = np.divmod(np.arange(ANCHORS), COLUMNS)
    anchors = np.column_stack(
        [(rows + 0.5) / ROWS, (columns + 0.5) / COLUMNS, np.full(ANCHORS, 1 / ROWS), np.full(ANCHORS, 1 / COLUMNS)]
    )
    shapes = ((1, detections, 4), (1, detections), (1, detections), (1,))
    outputs = [graph.tensor(name, shape, "float32") for name, shape in zip(names, shapes, strict=True)]
    settings = {
        "max_detections": detections, "max_classes_per_detection": 1, "detections_per_class": 100, "use_regular_nms": False,
        "nms_score_threshold": 1e-8, "nms_iou_threshold": 0.6, "num_classes": len(CLASSES),
        "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
    }  # fmt: skip
    inputs = [places, scores, graph.constant("anchors", anchors.astype(np.float32))]
    graph.add("CUSTOM", inputs, outputs, custom=("TFLite_Detection_PostProcess", bytes(flexbuffers.Dumps(settings))))
    return outputs


class _Graph:
    """A graph of TFLite operators that is being built."""

    def __init__(self) -> None:
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.operatorCodes, self.model.buffers = 3, [], [schema.BufferT()]
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, name: str, shape: Sequence[int], dtype: str, quantization: tuple[float, int] | None = None) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name.encode(), list(shape), 0
        tensor.type = {"float32": schema.TensorType.FLOAT32, "uint8": schema.TensorType.UINT8, "int32": schema.TensorType.INT32}[
            dtype
        ]
        if quantization:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [quantization[0]], [quantization[1]]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, values: NDArray[Any]) -> int:
        index = self.tensor(name, values.shape, values.dtype.name)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.graph.tensors[index].buffer = len(self.model.buffers)
        self.model.buffers.append(buffer)
        return index

    def convolution(self, image: int, kernels: NDArray[np.float32], bias: NDArray[np.float32]) -> int:
        options = schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, CELL, CELL
        output = self.tensor("maps", (1, ROWS, COLUMNS, len(kernels)), "float32")
        inputs = [image, self.constant("kernels", kernels), self.constant("bias", bias)]
        self.add("CONV_2D", inputs, [output], options=(schema.BuiltinOptions.Conv2DOptions, options))
        return output

    def reshape(self, source: int, shape: Sequence[int]) -> int:
        output = self.tensor("rows", shape, "float32")
        self.add("RESHAPE", [source, self.constant("shape", np.array(shape, np.int32))], [output])
        return output

    def add(
        self,
        kind: str,
        inputs: list[int],
        outputs: list[int],
        options: tuple[int, Any] | None = None,
        custom: tuple[str, bytes] | None = None,
    ) -> None:
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.model.operatorCodes), inputs, outputs
        if options:
            operator.builtinOptionsType, operator.builtinOptions = options
        if custom:
            code.customCode, operator.customOptions = custom[0].encode(), np.frombuffer(custom[1], np.uint8)
        self.model.operatorCodes.append(code)
        self.graph.operators.append(operator)

    def packed(self, inputs: list[int], outputs: list[int], normalization: tuple[float, float] | None) -> bytes:
        self.graph.inputs, self.graph.outputs = inputs, outputs
        if normalization:
            entry, buffer = schema.MetadataT(), schema.BufferT()
            entry.name, entry.buffer = b"TFLITE_METADATA", len(self.model.buffers)
            buffer.data = np.frombuffer(_metadata(*normalization), np.uint8)
            self.model.buffers.append(buffer)
            self.model.metadata = [entry]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _metadata(mean: float, std: float) -> bytes:
    """TFLite metadata with the normalization of the input, as TFLite Support's `metadata_schema.fbs` lays it out."""
    builder = flatbuffers.Builder(256)
    vectors = []
    for value in (std, mean):
        builder.StartVector(4, 1, 4)
        builder.PrependFloat32(value)
        vectors.append(builder.EndVector())
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, vectors[1], 0)
    builder.PrependUOffsetTRelativeSlot(1, vectors[0], 0)
    options = builder.EndObject()
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(1, options, 0)
    builder.PrependUint8Slot(0, 1, 0)
    unit = builder.EndObject()
    for slots, slot in ((7, 4), (10, 2), (9, 3)):  # TensorMetadata, SubGraphMetadata, ModelMetadata
        builder.StartVector(4, 1, 4)
        builder.PrependUOffsetTRelative(unit)
        vector = builder.EndVector()
        builder.StartObject(slots)
        builder.PrependUOffsetTRelativeSlot(slot, vector, 0)
        unit = builder.EndObject()
    builder.Finish(unit, b"M001")
    return bytes(builder.Output())
