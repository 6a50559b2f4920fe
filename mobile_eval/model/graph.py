"""The operators of a `.tflite`: what they are, which layers they come from, and how to extract single ones as models.

A converted graph keeps the names of layers in the names of its tensors, so that each operator can be assigned to its part of the
network. The flatbuffer's schema comes with ai-edge-litert.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.model.archive import Schema, SchemaObject, check_is_tflite, unpack

NEEDS_SCHEMA = "reading a .tflite's operators needs the schema that comes with ai-edge-litert: `pip install ai-edge-litert`"
DAMAGED = "{path} is truncated or damaged ({reason}); copy it again"
LAYER = re.compile(r"(?:^|/)(?:quant_)?((?:stem|stage\d|transition\d|head)[A-Za-z0-9_]*)(?:/|$)")
DTYPES = {  # by TensorType
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 8: "complex64", 9: "int8",
    10: "float64", 11: "complex128", 12: "uint64", 15: "uint32", 16: "uint16",
}  # fmt: skip
OTHER = "other"  # strings, resources, and types smaller than a byte
FLOATS = ("float16", "float32")


@dataclass(frozen=True)
class Tensor:
    """An input or output of an operator.

    Attributes:
        index: Its index in the graph.
        name: Its name.
        shape: Its shape; a dimension of unknown size counts as 1.
        dtype: A numpy dtype, or OTHER.
        constant: Whether its values are in the file.
        static: Whether all its dimensions are known.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool
    static: bool

    @property
    def size_bytes(self) -> int:
        """Size of its values; 0 for the dtype OTHER."""
        return 0 if self.dtype == OTHER else math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Operator:
    """An operator of a graph.

    Attributes:
        index: Its index in the graph.
        kind: The builtin's name, such as "CONV_2D", or the name of a custom operator.
        version: The builtin's version.
        layer: The Keras layer that it comes from; None where it is not known.
        inputs: Its inputs, without absent optional ones.
        outputs: Its outputs.
        options: The builtin's options, by their names in the schema.
    """

    index: int
    kind: str
    version: int
    layer: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: dict[str, object]

    @property
    def signature(self) -> str:
        """Kind, shapes, dtypes and options: operators with the same signature do the same work."""
        shapes = " ".join(f"{'x'.join(map(str, t.shape))}:{t.dtype}" for t in (*self.inputs, *self.outputs))
        settings = ",".join(f"{name}={value}" for name, value in sorted(self.options.items()))
        return f"{self.kind} {shapes} {settings}"

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of a convolution or fully connected layer; 0 for other operators."""
        if self.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"):
            return 0
        kernel = self.inputs[1].shape  # (out, h, w, in), depthwise (1, h, w, out), fully connected (out, in)
        if self.kind == "TRANSPOSE_CONV":
            return math.prod(self.inputs[2].shape[:3]) * kernel[0] * math.prod(kernel[1:])
        per_output = math.prod(kernel[1:3] if self.kind == "DEPTHWISE_CONV_2D" else kernel[1:])
        return math.prod(self.outputs[0].shape) * per_output


class TFLiteGraph:
    """The first subgraph of a `.tflite`.

    Args:
        path: The file.

    Raises:
        HRNetError: The file is not a model or damaged, or ai-edge-litert is not installed.

    Example:
        >>> [operator.kind for operator in TFLiteGraph("model.tflite").operators]  # doctest: +SKIP
        ['PAD', 'CONV_2D', 'CONV_2D', ...]
    """

    def __init__(self, path: Path | str):
        data = read_bytes(path, "model")
        check_is_tflite(path, data)
        self.path = Path(path)
        self._schema = _load_schema()
        self._model = _unpack_checked(self._schema, data, path)
        self._graph = self._model.subgraphs[0]

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """The operators, in the order they run."""
        return tuple(self._operator(index) for index in range(len(self._graph.operators)))

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs of the graph."""
        return tuple(map(self._tensor, self._graph.inputs))

    @cached_property
    def outputs(self) -> tuple[Tensor, ...]:
        """The outputs of the graph."""
        return tuple(map(self._tensor, self._graph.outputs))

    def constant(self, index: int, position: int) -> NDArray[Any] | None:
        """The values of a constant input.

        Args:
            index: Index of the operator.
            position: Position among its inputs, with absent optional ones.

        Returns:
            The values as they are stored; None where the input is computed or absent.

        Raises:
            HRNetError: The file is damaged.
        """
        inputs = self._graph.operators[index].inputs
        if position >= len(inputs) or inputs[position] < 0:
            return None
        tensor = self._graph.tensors[inputs[position]]
        data = self._model.buffers[tensor.buffer].data
        if data is None or not len(data):
            return None
        dtype = DTYPES.get(tensor.type)
        if dtype is None or len(data) != math.prod(map(int, tensor.shape)) * np.dtype(dtype).itemsize:
            raise HRNetError(DAMAGED.format(path=self.path, reason=f"tensor {inputs[position]} does not fill its shape"))
        return np.frombuffer(bytes(data), dtype).reshape(tensor.shape)

    def extract(self, index: int, copies: int = 1) -> bytes:
        """Make a model of a single operator.

        Args:
            index: Index of the operator.
            copies: How often the model has it. The copies read the same input, and each has its own constants and outputs.

        Returns:
            The model as a flatbuffer.
        """
        import flatbuffers

        schema, source = self._schema, self._graph.operators[index]
        graph, model = schema.SubGraphT(), schema.ModelT()
        model.version, model.operatorCodes = self._model.version, [self._model.operatorCodes[source.opcodeIndex]]
        model.buffers = [schema.BufferT()]
        graph.tensors = []
        computed = [i for i in source.inputs if i >= 0 and not self._is_constant(i)]
        shared = {i: self._copy_tensor(i, graph, model) for i in dict.fromkeys(computed)}
        graph.inputs, graph.outputs, graph.operators = sorted(shared.values()), [], []
        for _ in range(copies):
            operator = schema.OperatorT()
            operator.opcodeIndex, operator.builtinOptionsType = 0, source.builtinOptionsType
            operator.builtinOptions = source.builtinOptions
            operator.inputs = [
                i if i < 0 else shared[i] if i in shared else self._copy_tensor(i, graph, model, with_data=True)
                for i in source.inputs
            ]
            operator.outputs = [self._copy_tensor(i, graph, model) for i in source.outputs]
            graph.outputs += operator.outputs
            graph.operators.append(operator)
        model.subgraphs = [graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _copy_tensor(self, index: int, graph: SchemaObject, model: SchemaObject, *, with_data: bool = False) -> int:
        """Add a copy of a tensor to `graph`, and of its data to `model`; returns the copy's index."""
        tensor, copy = self._graph.tensors[index], self._schema.TensorT()
        copy.shape, copy.type, copy.name, copy.quantization = tensor.shape, tensor.type, tensor.name, tensor.quantization
        copy.buffer = 0
        if with_data:
            copy.buffer = len(model.buffers)
            model.buffers.append(self._model.buffers[tensor.buffer])
        graph.tensors.append(copy)
        return len(graph.tensors) - 1

    def _is_constant(self, index: int) -> bool:
        data = self._model.buffers[self._graph.tensors[index].buffer].data
        return data is not None and len(data) > 0

    def _operator(self, index: int) -> Operator:
        operator = self._graph.operators[index]
        code = self._model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        names = {value: name for name, value in vars(self._schema.BuiltinOperator).items() if not name.startswith("_")}
        kind = names.get(number, f"operator {number}")
        return Operator(
            index,
            code.customCode.decode(errors="replace") if kind == "CUSTOM" and code.customCode else kind,
            code.version,
            self._layer(operator),
            tuple(self._tensor(i) for i in operator.inputs if i >= 0),
            tuple(self._tensor(i) for i in operator.outputs),
            vars(operator.builtinOptions) if operator.builtinOptions else {},
        )

    def _tensor(self, index: int) -> Tensor:
        tensor = self._graph.tensors[index]
        shape, signature = tuple(map(int, tensor.shape)), tensor.shapeSignature
        return Tensor(
            int(index),
            tensor.name.decode(errors="replace"),
            shape,
            DTYPES.get(tensor.type, OTHER),
            constant=self._is_constant(index),
            static=signature is None or all(size >= 0 for size in signature),
        )

    def _layer(self, operator: SchemaObject) -> str | None:
        """The layer of an operator, by the name of its kernel or else of its output.

        The kernel comes first because the names of the graph's outputs are those of its signature.
        """
        for i in (*operator.inputs[1:2], *operator.outputs):
            for name in self._graph.tensors[i].name.decode(errors="replace").split(";") if i >= 0 else ():
                if (i in operator.outputs or self._is_constant(i)) and (match := LAYER.search(name)):
                    return match[1]
        return None


def _load_schema() -> Schema:
    try:
        import ai_edge_litert.schema_py_generated as schema
    except ImportError:
        raise HRNetError(NEEDS_SCHEMA) from None
    return schema


def _unpack_checked(schema: Schema, data: bytes, path: Path | str) -> SchemaObject:
    """The unpacked model, in whose first subgraph every index is valid."""
    model = unpack(schema, data)
    if model is None:
        raise HRNetError(DAMAGED.format(path=path, reason="its graph cannot be read to its end"))
    if not model.subgraphs or not model.subgraphs[0].operators:
        raise HRNetError(f"{path} has no operators")
    _fill_defaults(model.subgraphs[0])
    if reason := _find_invalid_index(model):
        raise HRNetError(DAMAGED.format(path=path, reason=reason))
    return model


def _fill_defaults(graph: SchemaObject) -> None:
    """Set what a flatbuffer leaves out where it is empty: the shape of a scalar, a name, the lists of an operator."""
    graph.tensors = graph.tensors or []
    for tensor in graph.tensors:
        tensor.shape = np.zeros(0, np.int32) if tensor.shape is None else tensor.shape
        tensor.name = tensor.name or b""
    for part in (graph, *graph.operators):
        part.inputs = () if part.inputs is None else part.inputs
        part.outputs = () if part.outputs is None else part.outputs


def _find_invalid_index(model: SchemaObject) -> str | None:
    """What is wrong with the first invalid index or shape in the first subgraph; None where all are valid."""
    graph, codes, buffers = model.subgraphs[0], model.operatorCodes or [], model.buffers or []
    count = len(graph.tensors)
    for index, tensor in enumerate(graph.tensors):
        if not 0 <= tensor.buffer < len(buffers):
            return f"tensor {index} is in buffer {tensor.buffer} of {len(buffers)}"
        if min(tensor.shape, default=0) < 0:
            return f"tensor {index} has shape {list(map(int, tensor.shape))}"
    for name, indices in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        if not all(0 <= i < count for i in indices):
            return f"its {name} are tensors {list(map(int, indices))} of {count}"
    for index, operator in enumerate(graph.operators):
        if not 0 <= operator.opcodeIndex < len(codes):
            return f"operator {index} is of kind {operator.opcodeIndex} of {len(codes)}"
        if not all(-1 <= i < count for i in (*operator.inputs, *operator.outputs)):
            return f"operator {index} has a tensor that is not one of the {count}"
    return None
