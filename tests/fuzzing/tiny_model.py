"""A handmade `.tflite` of one convolution, from an image of 32x32 pixels to heatmaps of two joints."""

from __future__ import annotations

from typing import Any

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD
from mobile_eval.model.description import ModelDescription, ModelInput, ModelOutput, TensorFormat

SIZE, STRIDE, JOINTS = 32, 4, ("left_eye", "right_eye")
LINKS = ["stage2_module0_link0to1", "stage2_module0_link1to0"]
NETWORK: dict[str, Any] = {
    "architecture": "hrnet",
    "width": 4,
    "stages": [{"stage": 2, "modules": 1}],
    "outputs": [0],
    "live_branches": ["stage2_module0_branch0", "stage2_module0_branch1"],
    "links": LINKS[1:],
    "removed_links": LINKS[:1],
}
REMOVAL: dict[str, Any] = {
    "cost_unit": "ms",
    "metric": "PCK@0.1",
    "full_score": 0.5,
    "steps": [{"removed": [LINKS[0]], "ratio": 0.9, "score": 0.4}],
}


def flatbuffer() -> bytes:
    """The model, without a description."""
    side, joints = SIZE // STRIDE, len(JOINTS)
    values = np.random.default_rng(0).normal(0, 0.1, (joints, STRIDE, STRIDE, 3)).astype(np.float32)
    graph, model, operator = schema.SubGraphT(), schema.ModelT(), schema.OperatorT()
    model.version, model.buffers = 3, [schema.BufferT() for _ in range(3)]
    model.buffers[1].data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers[2].data = np.zeros(4 * joints, np.uint8)
    graph.tensors = [
        _tensor("image", (1, SIZE, SIZE, 3), 0),
        _tensor("model/stem_conv1/kernel", values.shape, 1),
        _tensor("model/stem_conv1/bias", (joints,), 2),
        _tensor("model/stem_conv1/Conv2D", (1, side, side, joints), 0),
    ]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 1
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, 2], [3]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Conv2DOptions, schema.Conv2DOptionsT()
    operator.builtinOptions.strideW = operator.builtinOptions.strideH = STRIDE
    operator.builtinOptions.dilationWFactor = operator.builtinOptions.dilationHFactor = 1
    model.operatorCodes, graph.operators, graph.inputs, graph.outputs = [code], [operator], [0], [3]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, shape: tuple[int, ...], buffer: int) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer, tensor.type = name.encode(), list(shape), buffer, schema.TensorType.FLOAT32
    return tensor


def description() -> ModelDescription:
    """The description of the model."""
    return ModelDescription(
        name="tiny",
        precision="float32",
        input=ModelInput((SIZE, SIZE), IMAGENET_MEAN, IMAGENET_STD, TensorFormat("float32")),
        output=ModelOutput("heatmaps", STRIDE, TensorFormat("float32")),
        category=KeypointCategory("face", JOINTS, ((0, 1),)),
        network=NETWORK,
        parameters=98,
        multiply_adds=6144,
        importance=dict.fromkeys(LINKS, 0.5),
        source={"run": "runs/tiny", "removal": REMOVAL},
    )
