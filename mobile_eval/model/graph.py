"""The operators of a `.tflite`: what they are, which layer each came from, and cutting single ones out as models.

A converted graph keeps the layers' names in its tensors' names, so that each operator can be told apart by the
part of the network that it belongs to. The flatbuffer's schema comes with ai-edge-litert.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.model.archive import check_is_tflite

NEEDS_SCHEMA = "reading a .tflite's operators needs the schema that comes with ai-edge-litert: `pip install ai-edge-litert`"
LAYER = re.compile(r"(?:^|/)(?:quant_)?((?:stem|stage\d|transition\d|head)[A-Za-z0-9_]*)(?:/|$)")
DAMAGED = "{path} is truncated or damaged ({reason}); copy it again"
DTYPES = {  # TensorType
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 8: "complex64", 9: "int8",
    10: "float64", 11: "complex128", 12: "uint64", 15: "uint32", 16: "uint16",
}  # fmt: skip
OTHER = "other"  # strings, resources, and what is smaller than a byte
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
        """Bytes of its values; 0 of a dtype whose values numpy has no size for."""
        return 0 if self.dtype == OTHER else math.prod(self.shape) * np.dtype(self.dtype).itemsize


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


class TFLiteGraph:
    """The first subgraph of a `.tflite`."""

    def __init__(self, path: Path | str):
        data = read_bytes(path, "model")
        check_is_tflite(path, data)
        self.path = Path(path)
        self._schema = _schema()
        self._model = _read(self._schema, data, path)
        self._graph = self._model.subgraphs[0]

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
        dtype = DTYPES.get(tensor.type)
        if dtype is None or len(data) != math.prod(map(int, tensor.shape)) * np.dtype(dtype).itemsize:
            raise HRNetError(DAMAGED.format(path=self.path, reason=f"tensor {inputs[position]} does not fill its shape"))
        return np.frombuffer(bytes(data), dtype).reshape(tensor.shape)

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
        static = signature is None or all(size >= 0 for size in signature)
        return Tensor(
            int(index),
            tensor.name.decode(errors="replace"),
            shape,
            DTYPES.get(tensor.type, OTHER),
            self._is_constant(index),
            static,
        )

    def _layer(self, operator: Any) -> str | None:
        """From the kernel's name where there is one (the last output's is replaced by the signature's), else the output's."""
        for i in (*operator.inputs[1:2], *operator.outputs):
            for name in self._graph.tensors[i].name.decode(errors="replace").split(";") if i >= 0 else ():
                if (i in operator.outputs or self._is_constant(i)) and (match := LAYER.search(name)):
                    return match[1]
        return None


def _add_tensor(graph: Any, tensor: Any) -> int:
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _read(schema: Any, data: bytes, path: Path | str) -> Any:
    """The flatbuffer as objects of the schema, whose indices all lead somewhere."""
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    except (struct.error, IndexError, TypeError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        # offsets that lead out of the data, or to what is of another kind
        raise HRNetError(DAMAGED.format(path=path, reason="its graph cannot be read to its end")) from error
    if not model.subgraphs or not model.subgraphs[0].operators:
        raise HRNetError(f"{path} holds no operators")
    if reason := _broken_reference(model):
        raise HRNetError(DAMAGED.format(path=path, reason=reason))
    return model


def _broken_reference(model: Any) -> str | None:
    """What is wrong with the first index of the first subgraph that leads nowhere, and with its tensors; None if nothing is."""
    graph = model.subgraphs[0]
    tensors, codes, buffers = graph.tensors or [], model.operatorCodes or [], model.buffers or []
    for index, tensor in enumerate(tensors):
        tensor.shape = np.zeros(0, np.int32) if tensor.shape is None else tensor.shape  # a scalar's is not stored
        tensor.name = tensor.name or b""
        if not 0 <= tensor.buffer < len(buffers):
            return f"tensor {index} is in buffer {tensor.buffer} of {len(buffers)}"
        if min(tensor.shape, default=0) < 0:
            return f"tensor {index} has shape {list(map(int, tensor.shape))}"
    for name in ("inputs", "outputs"):
        own = [] if getattr(graph, name) is None else getattr(graph, name)
        if not all(0 <= i < len(tensors) for i in own):
            return f"its {name} are tensors {list(map(int, own))} of {len(tensors)}"
    for index, operator in enumerate(graph.operators):
        operator.inputs, operator.outputs = (() if ends is None else ends for ends in (operator.inputs, operator.outputs))
        if not 0 <= operator.opcodeIndex < len(codes):
            return f"operator {index} is of kind {operator.opcodeIndex} of {len(codes)}"
        if not all(-1 <= i < len(tensors) for i in (*operator.inputs, *operator.outputs)):
            return f"operator {index} reads or writes a tensor that is none of {len(tensors)}"
    return None


def _schema() -> Any:
    try:
        import ai_edge_litert.schema_py_generated as schema
    except ImportError:
        raise HRNetError(NEEDS_SCHEMA) from None
    return schema
