"""The operators of a `.tflite`: what they are, which layer each came from, and cutting single ones out as models.

A converted graph keeps the layers' names in its tensors' names, so that each operator can be told apart by the
part of the network that it belongs to. The flatbuffer's schema comes with ai-edge-litert.
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

from mobile_eval.files import read_bytes
from mobile_eval.model_file import check_is_tflite

NEEDS_SCHEMA = "reading a .tflite's operators needs the schema that comes with ai-edge-litert: `pip install ai-edge-litert`"
LAYER = re.compile(r"(?:^|/)(?:quant_)?((?:stem|stage\d|transition\d|head)[A-Za-z0-9_]*)(?:/|$)")
DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}  # TensorType
FLOATS = ("float16", "float32")


@dataclass(frozen=True)
class Tensor:
    """What an operator reads or writes: shape and dtype; `constant` where its values are in the file."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool
    static: bool

    @property
    def size_bytes(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Operator:
    """One operator: its place in the graph, its builtin's name, and the name of the Keras layer it came from (or None).

    `options` are the builtin's own, by the schema's names. An absent optional input is left out of `inputs`.
    `signature` tells operators apart that may differ in time: two of the same one do the same work.
    """

    index: int
    kind: str
    version: int
    layer: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: dict[str, Any]

    @property
    def signature(self) -> str:
        """Kind, shapes, dtypes and options."""
        shapes = " ".join(f"{'x'.join(map(str, t.shape))}:{t.dtype}" for t in (*self.inputs, *self.outputs))
        settings = ",".join(f"{name}={value}" for name, value in sorted(self.options.items()))
        return f"{self.kind} {shapes} {settings}"

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of a convolution or fully connected layer; 0 of anything else."""
        if self.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"):
            return 0
        kernel = self.inputs[1].shape  # (out, h, w, in), depthwise (1, h, w, out), fully connected (out, in)
        each = math.prod(kernel[1:]) if self.kind != "DEPTHWISE_CONV_2D" else math.prod(kernel[1:3])
        source = self.inputs[2] if self.kind == "TRANSPOSE_CONV" else self.outputs[0]
        places = math.prod(source.shape) if self.kind != "TRANSPOSE_CONV" else math.prod(source.shape[:3]) * kernel[0]
        return places * each


class TfliteGraph:
    """The first subgraph of a `.tflite`."""

    def __init__(self, path: Path | str):
        data = read_bytes(path, "model")
        check_is_tflite(path, data)
        self.path = Path(path)
        self._schema = _schema()
        self._model = self._schema.ModelT.InitFromObj(self._schema.Model.GetRootAsModel(data, 0))
        self._graph = self._model.subgraphs[0]
        if not self._graph.operators:
            raise ValueError(f"{path} holds no operators")

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """All operators, in the order they run."""
        return tuple(self._describe(index) for index in range(len(self._graph.operators)))

    def constant(self, index: int, position: int) -> NDArray[Any] | None:
        """The constant that operator `index` reads as its input `position`; None where that is computed, or absent."""
        inputs = self._graph.operators[index].inputs
        if position >= len(inputs) or inputs[position] < 0:
            return None
        tensor = self._graph.tensors[inputs[position]]
        data = self._model.buffers[tensor.buffer].data
        if data is None or not len(data):
            return None
        return np.frombuffer(bytes(data), DTYPES[tensor.type]).reshape(tensor.shape)

    def cut_out(self, index: int, copies: int = 1) -> bytes:
        """A model of that operator alone, `copies` times side by side on the same input."""
        import flatbuffers

        schema, source = self._schema, self._graph.operators[index]
        graph, model = schema.SubGraphT(), schema.ModelT()
        model.version, model.operatorCodes = self._model.version, [self._model.operatorCodes[source.opcodeIndex]]
        model.buffers = [schema.BufferT()]
        computed = [i for i in source.inputs if i >= 0 and not self._is_constant(i)]
        place = {}
        graph.tensors = []
        for i in dict.fromkeys(computed):
            place[i] = _add_tensor(graph, self._copied(self._graph.tensors[i], model, with_data=False))
        graph.inputs, graph.outputs, graph.operators = sorted(place.values()), [], []
        for _ in range(copies):
            operator = schema.OperatorT()
            operator.opcodeIndex, operator.builtinOptionsType = 0, source.builtinOptionsType
            operator.builtinOptions = source.builtinOptions
            operator.inputs = [
                i if i < 0 else place.get(i, -1) if i in place else self._own_constant(i, graph, model) for i in source.inputs
            ]
            operator.outputs = [
                _add_tensor(graph, self._copied(self._graph.tensors[i], model, with_data=False)) for i in source.outputs
            ]
            graph.outputs += operator.outputs
            graph.operators.append(operator)
        model.subgraphs = [graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _own_constant(self, index: int, graph: Any, model: Any) -> int:
        return _add_tensor(graph, self._copied(self._graph.tensors[index], model, with_data=True))

    def _copied(self, tensor: Any, model: Any, *, with_data: bool) -> Any:
        copy = self._schema.TensorT()
        copy.shape, copy.type, copy.name, copy.quantization = tensor.shape, tensor.type, tensor.name, tensor.quantization
        copy.buffer = 0
        if with_data:
            copy.buffer = len(model.buffers)
            model.buffers.append(self._model.buffers[tensor.buffer])
        return copy

    def _is_constant(self, index: int) -> bool:
        data = self._model.buffers[self._graph.tensors[index].buffer].data
        return data is not None and len(data) > 0

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the graph is given."""
        return tuple(map(self._tensor, self._graph.inputs))

    @cached_property
    def outputs(self) -> tuple[Tensor, ...]:
        """What the graph answers."""
        return tuple(map(self._tensor, self._graph.outputs))

    def _describe(self, index: int) -> Operator:
        operator = self._graph.operators[index]
        code = self._model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        names = {value: name for name, value in vars(self._schema.BuiltinOperator).items() if not name.startswith("_")}
        kind = names.get(number, f"operator {number}")
        return Operator(
            index,
            code.customCode.decode() if kind == "CUSTOM" and code.customCode else kind,
            code.version,
            self._layer(operator),
            tuple(self._tensor(i) for i in operator.inputs if i >= 0),
            tuple(self._tensor(i) for i in operator.outputs),
            vars(operator.builtinOptions) if operator.builtinOptions else {},
        )

    def _tensor(self, index: int) -> Tensor:
        tensor = self._graph.tensors[index]
        shape, signature = tuple(map(int, tensor.shape)), tensor.shapeSignature
        static = signature is None or all(size >= 0 for size in signature)
        return Tensor(int(index), tensor.name.decode(), shape, DTYPES.get(tensor.type, "other"), self._is_constant(index), static)

    def _layer(self, operator: Any) -> str | None:
        """From the kernel's name where there is one (the last output's is replaced by the signature's), else the output's."""
        for i in (*operator.inputs[1:2], *operator.outputs):
            for name in self._graph.tensors[i].name.decode().split(";") if i >= 0 else ():
                if (i in operator.outputs or self._is_constant(i)) and (match := LAYER.search(name)):
                    return match[1]
        return None


def _add_tensor(graph: Any, tensor: Any) -> int:
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _schema() -> Any:
    try:
        import ai_edge_litert.schema_py_generated as schema
    except ImportError:
        raise ValueError(NEEDS_SCHEMA) from None
    return schema
