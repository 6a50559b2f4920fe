"""What a converted file says of itself."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np

from conversion.flatbuffer import BYTE
from conversion.options import ConvertOptions
from hrnet_tf.networks import complexity, network_description
from hrnet_tf.runs import PRUNING, Run, load_ranking, read_json
from hrnet_tf.spec import FusionLink
from mobile_eval.datasets.coco import KeypointCategory
from mobile_eval.decode import HEATMAP_STRIDE
from mobile_eval.model_file import HEATMAPS, KEYPOINTS, ModelDescription, ModelInput, ModelOutput, TensorFormat
from mobile_eval.preprocess import IMAGENET_MEAN, IMAGENET_STD

PACKAGES = ("tensorflow", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert")
AS_IT_IS = ((0.0, 0.0, 0.0), (1 / BYTE, 1 / BYTE, 1 / BYTE))  # mean and standard deviation of bytes that stay bytes


def describe(run: Run, options: ConvertOptions, interpreter: Any) -> ModelDescription:
    """The description of a file that `interpreter` runs, made of `run`."""
    cost = complexity(run.spec)
    importance = None
    if (run.path / "ranking.json").is_file():
        importance = {str(unit): value for unit, value in load_ranking(run).of().items() if isinstance(unit, FusionLink)}
    mean, std = AS_IT_IS if options.camera else (IMAGENET_MEAN, IMAGENET_STD)
    return ModelDescription(
        name=run.spec.name,
        precision=options.format,
        input=ModelInput(run.spec.input_size, mean, std, _tensor_format(interpreter.get_input_details()[0])),
        output=_output(options, interpreter),
        category=KeypointCategory.from_json(run.category),
        network=network_description(run.spec),
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        importance=importance,
        source={"run": str(run.path), "step": run.step, "parent": run.parent, "removal": _removal(run)},
        task=run.spec.task,
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
    )


def _output(options: ConvertOptions, interpreter: Any) -> ModelOutput:
    kind = KEYPOINTS if options.decode else HEATMAPS
    values = next(details for details in interpreter.get_output_details() if details["dtype"] != np.int32)  # not the locations
    return ModelOutput(kind, HEATMAP_STRIDE, _tensor_format(values))


def _removal(run: Run) -> dict[str, Any] | None:
    """The way to a pruned network, as `hrnet prune` wrote it."""
    if not (run.path / PRUNING).is_file():
        return None
    plan = read_json(run.path / PRUNING)
    return {name: plan[name] for name in ("priced_in", "metric", "whole_score", "steps")}


def _tensor_format(details: dict[str, Any]) -> TensorFormat:
    dtype = np.dtype(details["dtype"]).name
    if dtype == "float32":
        return TensorFormat(dtype)
    scale, zero_point = details["quantization"]
    return TensorFormat(dtype, float(scale) or 1.0, int(zero_point))  # plain bytes are numbers as they stand
