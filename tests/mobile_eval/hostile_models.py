"""Well-formed flatbuffers that crash a TFLite runtime, or that it cannot run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import flatbuffers


def changed(flatbuffer: bytes, change: Callable[[Any], None]) -> bytes:
    """Apply `change` to the objects of a flatbuffer."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(flatbuffer, 0))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def crashing(flatbuffer: bytes) -> bytes:
    """Insert an IF whose branches are the graph itself: preparing it recurses until the stack overflows."""

    def recurse(model: Any) -> None:
        graph = model.subgraphs[0]
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.IF
        code.version = 1
        model.operatorCodes.append(code)
        constant = schema.BufferT()
        constant.data = [1]
        model.buffers.append(constant)
        condition, output = schema.TensorT(), schema.TensorT()
        condition.name, condition.shape, condition.type = b"condition", [1], schema.TensorType.BOOL
        condition.buffer = len(model.buffers) - 1
        output.name, output.shape, output.type = b"output", graph.tensors[graph.outputs[0]].shape, schema.TensorType.FLOAT32
        graph.tensors += [condition, output]
        branch = schema.OperatorT()
        branch.opcodeIndex = len(model.operatorCodes) - 1
        branch.builtinOptionsType, branch.builtinOptions = schema.BuiltinOptions.IfOptions, schema.IfOptionsT()
        branch.builtinOptions.thenSubgraphIndex = branch.builtinOptions.elseSubgraphIndex = 0
        branch.inputs, branch.outputs = [len(graph.tensors) - 2, graph.inputs[0]], [len(graph.tensors) - 1]
        graph.operators.insert(0, branch)

    return changed(flatbuffer, recurse)


def failing(flatbuffer: bytes) -> bytes:
    """Remove the values of a kernel: the graph is prepared, and its first run fails."""

    def drop_kernel(model: Any) -> None:
        graph = model.subgraphs[0]
        convolution = next(operator for operator in graph.operators if len(operator.inputs) == 3)
        graph.tensors[convolution.inputs[1]].buffer = 0

    return changed(flatbuffer, drop_kernel)
