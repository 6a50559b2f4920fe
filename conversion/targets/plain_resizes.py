"""Replace bilinear resizes of an int8 `.tflite` by operators that older compilers of the Edge TPU know.

These answer "Operation version not supported" for RESIZE_BILINEAR with half-pixel centers (version 3). Upsampling by an even
factor f in that way is the same as, along the columns and then along the rows,

1. nearest upsampling by f, without half-pixel centers (version 2),
2. repeating the edges f / 2 times, by SLICE and CONCATENATION,
3. a depthwise convolution with the f + 1 weights (1/2, 1, ..., 1, 1/2) / f.

The weights are exact in int8. Values are rounded twice, and RESIZE_BILINEAR rounds otherwise, so that they differ by a step or
two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import Schema, SchemaObject, unpack

UNIT = 120  # the stored weight in the middle of a kernel; its half is a whole number too
ROWS, COLUMNS = 1, 2  # axes
VERSIONS = {"RESIZE_NEAREST_NEIGHBOR": 2, "SLICE": 2, "CONCATENATION": 2, "DEPTHWISE_CONV_2D": 3}  # of int8


@dataclass(frozen=True)
class PlainResizes:
    """A model without the resizes that could be replaced.

    Attributes:
        flatbuffer: The model.
        replaced: Number of resizes that were replaced.
        remaining: Number of those with half-pixel centers that were not: by another factor than an even one.
    """

    flatbuffer: bytes
    replaced: int
    remaining: int


def with_plain_resizes(flatbuffer: bytes) -> PlainResizes:
    """Replace the int8 bilinear upsampling with half-pixel centers by an even factor.

    Args:
        flatbuffer: An int8 model, without a description.

    Raises:
        HRNetError: The model cannot be read.
    """
    import ai_edge_litert.schema_py_generated as schema
    import flatbuffers

    model = unpack(schema, flatbuffer)
    if model is None or not model.subgraphs:
        raise HRNetError("the model cannot be read: its flatbuffer is damaged")
    editor = _Editor(schema, model)
    operators: list[SchemaObject] = []
    replaced = remaining = 0
    for operator in editor.graph.operators:
        factor = editor.factor_of(operator)
        if factor:
            operators += editor.plain(operator, factor)
            replaced += 1
        else:
            operators.append(operator)
            remaining += factor is not None
    if not replaced:
        return PlainResizes(flatbuffer, 0, remaining)
    editor.graph.operators = operators
    builder = flatbuffers.Builder(len(flatbuffer))
    builder.Finish(model.Pack(builder), b"TFL3")
    return PlainResizes(bytes(builder.Output()), replaced, remaining)


class _Editor:
    """The first subgraph of an unpacked model, to which operators and tensors are added."""

    def __init__(self, schema: Schema, model: SchemaObject):
        self.schema, self.model, self.graph = schema, model, model.subgraphs[0]

    def factor_of(self, operator: SchemaObject) -> int | None:
        """The factor of a resize that can be replaced; 0 for one that cannot, None for other operators."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if kind != self.schema.BuiltinOperator.RESIZE_BILINEAR or not operator.builtinOptions.halfPixelCenters:
            return None
        before, after = (self.graph.tensors[index] for index in (operator.inputs[0], operator.outputs[0]))
        (height, width), (rows, columns) = before.shape[1:3], after.shape[1:3]
        factor = int(rows // height)
        is_multiple = (rows, columns) == (factor * height, factor * width)
        return factor if is_multiple and factor > 0 and factor % 2 == 0 and before.type == self.schema.TensorType.INT8 else 0

    def plain(self, operator: SchemaObject, factor: int) -> list[SchemaObject]:
        """The operators in place of a resize."""
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        added: list[SchemaObject] = []
        columns = self._along(source, COLUMNS, factor, None, added)
        self._along(columns, ROWS, factor, target, added)
        return added

    def _along(self, source: int, axis: int, factor: int, target: int | None, added: list[SchemaObject]) -> int:
        """Upsample along one axis, to the tensor `target` or else a new one."""
        before = self.graph.tensors[source]
        shape = list(map(int, before.shape))
        shape[axis] *= factor
        name = f"{self._name(source)}/up{axis}"
        options = self.schema.ResizeNearestNeighborOptionsT()
        options.alignCorners = options.halfPixelCenters = False
        size = self._constant(np.array(shape[1:3], np.int32), f"{name}/size")
        nearest = self._activation(source, shape, f"{name}/nearest")
        added.append(self._operator("RESIZE_NEAREST_NEIGHBOR", [source, size], nearest, options))
        padded = self._with_edges(nearest, axis, factor // 2, added)
        kernel, bias = self._kernel(float(before.quantization.scale[0]), shape[3], axis, factor, name)
        output = self._activation(source, shape, f"{name}/bilinear") if target is None else target
        options = self.schema.DepthwiseConv2DOptionsT()
        options.padding, options.strideW, options.strideH = self.schema.Padding.VALID, 1, 1
        options.dilationWFactor = options.dilationHFactor = options.depthMultiplier = 1
        options.fusedActivationFunction = self.schema.ActivationFunctionType.NONE
        added.append(self._operator("DEPTHWISE_CONV_2D", [padded, kernel, bias], output, options))
        return output

    def _with_edges(self, tensor: int, axis: int, border: int, added: list[SchemaObject]) -> int:
        """Repeat the first and last rows or columns, of which `border` are equal already."""
        shape = list(map(int, self.graph.tensors[tensor].shape))
        name, parts = self._name(tensor), []
        edge = [*shape[:axis], border, *shape[axis + 1 :]]
        for side, start in (("before", 0), ("after", shape[axis] - border)):
            begin = [start if index == axis else 0 for index in range(len(shape))]
            places = [self._constant(np.array(values, np.int32), f"{name}/{side}{axis}") for values in (begin, edge)]
            parts.append(self._activation(tensor, edge, f"{name}/{side}{axis}"))
            added.append(self._operator("SLICE", [tensor, *places], parts[-1], self.schema.SliceOptionsT()))
        padded = [*shape[:axis], shape[axis] + 2 * border, *shape[axis + 1 :]]
        output = self._activation(tensor, padded, f"{name}/padded{axis}")
        options = self.schema.ConcatenationOptionsT()
        options.axis, options.fusedActivationFunction = axis, self.schema.ActivationFunctionType.NONE
        added.append(self._operator("CONCATENATION", [parts[0], tensor, parts[1]], output, options))
        return output

    def _kernel(self, input_scale: float, channels: int, axis: int, factor: int, name: str) -> tuple[int, int]:
        """Kernel (1, f + 1, 1, C) or (1, 1, f + 1, C), and bias of a convolution along an axis."""
        line = np.array([UNIT // 2, *[UNIT] * (factor - 1), UNIT // 2], np.int8)
        shape = [1, 1, 1, channels]
        shape[axis] = factor + 1
        along = [1, 1, 1, 1]
        along[axis] = factor + 1
        kernel = np.ascontiguousarray(np.broadcast_to(line.reshape(along), shape))
        scale = np.full(channels, 1 / (UNIT * factor), np.float32)
        return (
            self._constant(kernel, f"{name}/weights", self._quantization(scale, 3)),
            self._constant(
                np.zeros(channels, np.int32), f"{name}/no_bias", self._quantization(scale * np.float32(input_scale), 0)
            ),
        )

    def _quantization(self, scale: NDArray[np.float32], axis: int) -> SchemaObject:
        quantization = self.schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = scale, np.zeros(len(scale), np.int64)
        quantization.quantizedDimension = axis
        return quantization

    def _activation(self, like: int, shape: Sequence[int], name: str) -> int:
        """Add a computed tensor of the type and scale of another."""
        source, tensor = self.graph.tensors[like], self.schema.TensorT()
        tensor.type, tensor.quantization, tensor.buffer = source.type, source.quantization, 0
        return self._add(tensor, shape, name)

    def _constant(self, values: NDArray[Any], name: str, quantization: SchemaObject | None = None) -> int:
        tensor, buffer = self.schema.TensorT(), self.schema.BufferT()
        types = {np.dtype(np.int8): self.schema.TensorType.INT8, np.dtype(np.int32): self.schema.TensorType.INT32}
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.type, tensor.buffer, tensor.quantization = types[values.dtype], len(self.model.buffers) - 1, quantization
        return self._add(tensor, values.shape, name)

    def _add(self, tensor: SchemaObject, shape: Sequence[int], name: str) -> int:
        tensor.shape, tensor.name = np.array(shape, np.int32), name.encode()
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _name(self, index: int) -> str:
        return (self.graph.tensors[index].name or b"").decode(errors="replace").split(";")[0]

    def _operator(self, kind: str, inputs: Sequence[int], output: int, options: SchemaObject) -> SchemaObject:
        operator = self.schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._code(kind), list(inputs), [output]
        name = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType, operator.builtinOptions = getattr(self.schema.BuiltinOptions, name), options
        return operator

    def _code(self, kind: str) -> int:
        """The index of an operator's code, which is added if it is not there."""
        number, version = getattr(self.schema.BuiltinOperator, kind), VERSIONS[kind]
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number and code.version == version:
                return index
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1
