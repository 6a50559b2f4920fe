"""What a detector's two files say of themselves."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np

from conversion.description import AS_IT_IS, PACKAGES, source_of
from conversion.options import ConvertOptions
from conversion.outputs import output_tensors
from conversion.quantization.samples import Samples
from hrnet_tf.models.build import complexity, network_description
from hrnet_tf.runs.ranking import load_ranking
from hrnet_tf.runs.run import Run
from mobile_eval.datasets.coco.keypoints import KeypointCategory
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD
from mobile_eval.model.description import (
    BOX_ANSWERS,
    DETECTOR_MAPS,
    BoxesFile,
    ModelDescription,
    ModelInput,
    ModelOutput,
    TensorFormat,
)
from mobile_eval.tasks.detection.anchors import STRIDES
from mobile_eval.tasks.detection.constants import POOLED

AS_REAL = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # what is pooled is not normalized


def describe_maps(run: Run, options: ConvertOptions, interpreter: Any, boxes: BoxesFile, checked: Samples) -> ModelDescription:
    """Of the first file, which stands for the whole detector."""
    mean, std = AS_IT_IS if options.camera else (IMAGENET_MEAN, IMAGENET_STD)
    source = ModelInput(run.spec.input_size, mean, std, _format(interpreter.get_input_details()[0]))
    largest = max(interpreter.get_output_details(), key=lambda details: int(np.prod(details["shape"])))
    return _described(run, options, source, ModelOutput(DETECTOR_MAPS, STRIDES[0], _format(largest)), interpreter, boxes, checked)


def describe_boxes(run: Run, options: ConvertOptions, interpreter: Any, boxes: BoxesFile, checked: Samples) -> ModelDescription:
    """Of the second file."""
    layout = f"{boxes.proposals} boxes, NHWC"
    source = ModelInput((POOLED, POOLED), *AS_REAL, _format(interpreter.get_input_details()[0]), layout)
    output = ModelOutput(BOX_ANSWERS, 0, _format(interpreter.get_output_details()[0]))
    return _described(run, options, source, output, interpreter, boxes, checked)


def _described(
    run: Run,
    options: ConvertOptions,
    source: ModelInput,
    output: ModelOutput,
    interpreter: Any,
    boxes: BoxesFile,
    checked: Samples,
) -> ModelDescription:
    cost = complexity(run.spec)
    importance = None
    if (run.path / "ranking.json").is_file():
        importance = load_ranking(run).link_importance()
    return ModelDescription(
        name=run.spec.name,
        precision=options.format,
        input=source,
        output=output,
        outputs=output_tensors(interpreter, output),
        category=KeypointCategory(run.category["name"], ()),
        network=network_description(run.spec),
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        importance=importance,
        source=source_of(run, checked),
        task=run.spec.task,
        classes=tuple(run.category["classes"]),
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
        boxes=boxes,
    )


def _format(details: dict[str, Any]) -> TensorFormat:
    dtype = np.dtype(details["dtype"]).name
    if dtype == "float32":
        return TensorFormat(dtype)
    scale, zero_point = details["quantization"]
    return TensorFormat(dtype, float(scale) or 1.0, int(zero_point))  # plain bytes are numbers as they stand
