"""Describe a converted model: the description that is stored in its file."""

from __future__ import annotations

import importlib.metadata
import tempfile
from pathlib import Path

import numpy as np

from conversion.draft import Draft
from conversion.model_info import BYTE, ModelInfo, cost_of
from conversion.options import ConvertOptions
from conversion.outputs import output_texts
from conversion.quantization.samples import Samples
from hrnet_tf.spec.architectures import network_description
from mobile_eval.image.geometry import Geometry
from mobile_eval.model.description import (
    BOX_OUTPUTS,
    HEATMAPS,
    KEYPOINTS,
    BoxesFile,
    ModelDescription,
    ModelInput,
    ModelOutput,
    OutputTensor,
    TensorFormat,
    checked_on,
)
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.interpreter import TensorDetails

PACKAGES = ("tensorflow", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert")
ZEROS, ONES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
AS_BYTES = (ZEROS, (1 / BYTE, 1 / BYTE, 1 / BYTE))  # the input is bytes, normalized in the model
AS_FEATURES = (ZEROS, ONES)  # the input is features, which are not normalized


def describe(info: ModelInfo, options: ConvertOptions, draft: Draft, compared: Samples) -> ModelDescription:
    """Describe the file of a network other than a detector.

    Args:
        info: What is known of the network.
        options: Conversion options.
        draft: The converted model.
        compared: Images that the file is compared with the Keras model on.
    """
    kind = KEYPOINTS if options.decode and info.kind == HEATMAPS else info.kind
    probabilities = options.softmax or info.probabilities
    output = ModelOutput(kind, info.stride, _first_format(draft), info.offset, probabilities)
    return _description(info, options, _image_input(info, options, draft), output, draft, compared)


def describe_maps(
    info: ModelInfo, options: ConvertOptions, draft: Draft, boxes: BoxesFile, compared: Samples
) -> ModelDescription:
    """Describe the first file of a detector, which stands for both; see `describe`."""
    largest = max(draft.outputs, key=lambda details: int(np.prod(details["shape"])))
    output = ModelOutput(info.kind, info.stride, _tensor_format(largest))
    return _description(info, options, _image_input(info, options, draft), output, draft, compared, boxes)


def describe_boxes(
    info: ModelInfo, options: ConvertOptions, draft: Draft, boxes: BoxesFile, compared: Samples
) -> ModelDescription:
    """Describe the second file of a detector; see `describe`."""
    batch, height, width, _ = map(int, draft.input["shape"])
    layout = "NHWC" if batch == 1 else f"{batch} boxes, NHWC"
    source = ModelInput((height, width), *AS_FEATURES, _tensor_format(draft.input), layout)
    output = ModelOutput(BOX_OUTPUTS, 0, _tensor_format(draft.outputs[0]))
    return _description(info, options, source, output, draft, compared, boxes)


def _image_input(info: ModelInfo, options: ConvertOptions, draft: Draft) -> ModelInput:
    mean, std = AS_BYTES if options.camera else (info.mean, info.std)
    return ModelInput(info.size, mean, std, _tensor_format(draft.input), geometry=info.geometry)


def _description(
    info: ModelInfo,
    options: ConvertOptions,
    source: ModelInput,
    output: ModelOutput,
    draft: Draft,
    compared: Samples,
    boxes: BoxesFile | None = None,
) -> ModelDescription:
    parameters, multiply_adds = cost_of(info) or (info.parameters or 0, _multiply_adds(draft))
    return ModelDescription(
        name=info.name,
        precision=options.format,
        input=source,
        output=output,
        outputs=output_tensors(draft, output, source.geometry),
        category=info.category,
        classes=info.classes,
        network=network_description(info.spec) if info.spec else {},
        parameters=parameters,
        multiply_adds=multiply_adds,
        importance=info.importance,
        source=info.source | checked_on(len(compared.images), compared.kind),
        task=info.task,
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
        boxes=boxes,
    )


def _multiply_adds(draft: Draft) -> int:
    """Multiply-adds of the operators of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "draft.tflite")
        path.write_bytes(draft.flatbuffer)
        return sum(operator.multiply_adds for operator in TFLiteGraph(path).operators)


def output_tensors(draft: Draft, output: ModelOutput, geometry: Geometry) -> tuple[OutputTensor, ...]:
    """Describe the output tensors of a converted model, in the file's order.

    Args:
        draft: The converted model.
        output: Its kind of output.
        geometry: Geometry of its heatmaps, one of `mobile_eval.image.geometry.GEOMETRIES`.
    """
    texts = output_texts(output, geometry)
    tensors = []
    for name, details in zip(draft.output_names, draft.outputs, strict=True):
        shape, dtype = tuple(map(int, details["shape"])), np.dtype(details["dtype"]).name
        scale, zero_point = details["quantization"]
        quantization = (float(scale), int(zero_point)) if scale else (None, None)
        tensors.append(OutputTensor(name, shape, dtype, texts.get(name, f"the output {name} of the model"), *quantization))
    return tuple(tensors)


def _first_format(draft: Draft) -> TensorFormat:
    """The format of the first output that is no index: of a model that decodes heatmaps, of the scores."""
    values = (details for details in draft.outputs if np.dtype(details["dtype"]).name in ("float32", "int8", "uint8"))
    first = next(values, None)
    return _tensor_format(first) if first else TensorFormat("float32")


def _tensor_format(details: TensorDetails) -> TensorFormat:
    dtype = np.dtype(details["dtype"]).name
    if dtype == "float32":
        return TensorFormat(dtype)
    scale, zero_point = details["quantization"]
    return TensorFormat(dtype, float(scale) or 1.0, int(zero_point))  # plain bytes have no quantization: scale 1
