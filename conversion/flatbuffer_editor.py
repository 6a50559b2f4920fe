"""Edit the operators and tensors of a `.tflite`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import Schema, SchemaObject, unpack

VERSIONS = {  # of int8
    "CONV_2D": 3,
    "RESIZE_NEAREST_NEIGHBOR": 2,
    "SLICE": 2,
    "CONCATENATION": 2,
    "DEPTHWISE_CONV_2D": 3,
}


class FlatbufferEditor:
    """The first subgraph of a model, to which operators and tensors are added.

    Attributes:
        schema: The generated schema.
        model: The unpacked model.
        graph: Its first subgraph; `graph.operators` may be replaced.

    Args:
        flatbuffer: The model, without a description.

    Raises:
        HRNetError: The model cannot be read.
    """

    def __init__(self, flatbuffer: bytes):
        import ai_edge_litert.schema_py_generated as schema

        model = unpack(schema, flatbuffer)
        if model is None or not model.subgraphs:
            raise HRNetError("the model cannot be read: its flatbuffer is damaged")
        self.schema: Schema = schema
        self.model: SchemaObject = model
        self.graph = model.subgraphs[0]
        self._size = len(flatbuffer)

    def to_bytes(self) -> bytes:
        """Pack the model."""
        import flatbuffers

        builder = flatbuffers.Builder(self._size)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def is_kind(self, operator: SchemaObject, kind: str) -> bool:
        """Whether an operator is of that kind, such as "CONV_2D"."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return max(code.builtinCode, code.deprecatedBuiltinCode) == getattr(self.schema.BuiltinOperator, kind)

    def tensor(self, index: int) -> SchemaObject:
        """The tensor of that index."""
        return self.graph.tensors[index]

    def name(self, index: int) -> str:
        """The name of a tensor; of several joined by the converter, the first."""
        return (self.tensor(index).name or b"").decode(errors="replace").split(";")[0]

    def set_shape(self, index: int, shape: Sequence[int]) -> None:
        """Give a tensor another fixed shape."""
        self.tensor(index).shape, self.tensor(index).shapeSignature = np.array(shape, np.int32), None

    def add_activation(self, like: int, shape: Sequence[int], name: str) -> int:
        """Add a computed tensor of the type and scale of another, and return its index."""
        source, tensor = self.tensor(like), self.schema.TensorT()
        tensor.type, tensor.quantization, tensor.buffer = source.type, source.quantization, 0
        return self._add(tensor, shape, name)

    def add_constant(self, values: NDArray[Any], name: str, quantization: SchemaObject | None = None) -> int:
        """Add a constant int8 or int32 tensor, and return its index."""
        tensor, buffer = self.schema.TensorT(), self.schema.BufferT()
        types = {np.dtype(np.int8): self.schema.TensorType.INT8, np.dtype(np.int32): self.schema.TensorType.INT32}
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.type, tensor.buffer, tensor.quantization = types[values.dtype], len(self.model.buffers) - 1, quantization
        return self._add(tensor, values.shape, name)

    def quantization(self, scale: NDArray[np.float32], axis: int) -> SchemaObject:
        """Symmetric quantization with a scale for each index along an axis."""
        quantization = self.schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = scale, np.zeros(len(scale), np.int64)
        quantization.quantizedDimension = axis
        return quantization

    def convolution_options(self, kind: str, stride: int = 1, activation: int | None = None) -> SchemaObject:
        """Options of a convolution without padding.

        Args:
            kind: CONV_2D or DEPTHWISE_CONV_2D.
            stride: The stride.
            activation: The fused activation, of `ActivationFunctionType`; None for none.
        """
        options = self.schema.Conv2DOptionsT() if kind == "CONV_2D" else self.schema.DepthwiseConv2DOptionsT()
        options.padding, options.strideW, options.strideH = self.schema.Padding.VALID, stride, stride
        options.dilationWFactor = options.dilationHFactor = 1
        options.fusedActivationFunction = self.schema.ActivationFunctionType.NONE if activation is None else activation
        if kind != "CONV_2D":
            options.depthMultiplier = 1
        return options

    def operator(self, kind: str, inputs: Sequence[int], output: int, options: SchemaObject) -> SchemaObject:
        """Make an operator of a kind of VERSIONS, for `graph.operators`."""
        operator = self.schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._code(kind), list(inputs), [output]
        name = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType, operator.builtinOptions = getattr(self.schema.BuiltinOptions, name), options
        return operator

    def _add(self, tensor: SchemaObject, shape: Sequence[int], name: str) -> int:
        tensor.shape, tensor.name = np.array(shape, np.int32), name.encode()
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

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
