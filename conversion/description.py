"""What a converted file says of itself."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np

from conversion.flatbuffer import BYTE
from conversion.options import ConvertOptions
from conversion.outputs import output_tensors
from conversion.quantization.samples import Samples, run_geometry
from hrnet_tf.models.build import complexity, network_description
from hrnet_tf.runs.run import Run, load_pruning, load_ranking
from hrnet_tf.spec.network import STEM_STRIDE, FusionLink
from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.image.geometry import HEATMAP_STRIDE
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD
from mobile_eval.model.description import (
    CLASS_MAPS,
    CLASS_SCORES,
    HEATMAPS,
    KEYPOINTS,
    ModelDescription,
    ModelInput,
    ModelOutput,
    TensorFormat,
    checked_on,
)

PACKAGES = ("tensorflow", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert")
ANSWERS = {  # what comes out of a head, and at which stride
    "heatmap": (HEATMAPS, HEATMAP_STRIDE),
    "multiscale_heatmap": (HEATMAPS, HEATMAP_STRIDE),
    "dense": (CLASS_MAPS, STEM_STRIDE),
    "classification": (CLASS_SCORES, 0),
}
AS_IT_IS = ((0.0, 0.0, 0.0), (1 / BYTE, 1 / BYTE, 1 / BYTE))  # mean and standard deviation of bytes that stay bytes


def describe(run: Run, options: ConvertOptions, interpreter: Any, checked: Samples) -> ModelDescription:
    """The description of a file that `interpreter` runs, made of `run` and compared with Keras on `checked`."""
    cost = complexity(run.spec)
    importance = None
    if (run.path / "ranking.json").is_file():
        importance = {str(unit): value for unit, value in load_ranking(run).importance().items() if isinstance(unit, FusionLink)}
    tensor = _tensor_format(interpreter.get_input_details()[0])
    mean, std = AS_IT_IS if options.camera else (IMAGENET_MEAN, IMAGENET_STD)
    output = _output(run, options, interpreter)
    return ModelDescription(
        name=run.spec.name,
        precision=options.format,
        input=ModelInput(run.spec.input_size, mean, std, tensor, geometry=run_geometry(run)),
        output=output,
        outputs=output_tensors(interpreter, output, run_geometry(run)),
        category=_category(run),
        classes=tuple(run.category.get("classes", ())),
        network=network_description(run.spec),
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        importance=importance,
        source=source_of(run, checked),
        task=run.spec.task,
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
    )


def _category(run: Run) -> KeypointCategory:
    """The joints that a run answers with; none of one that answers with classes."""
    known = run.category if "keypoints" in run.category else {"name": run.category["name"], "keypoints": []}
    return KeypointCategory.from_json(known)


def _output(run: Run, options: ConvertOptions, interpreter: Any) -> ModelOutput:
    kind, stride = ANSWERS[run.spec.head_kind]
    values = next(details for details in interpreter.get_output_details() if details["dtype"] != np.int32)  # not the locations
    offset = float(run.config.get("heatmap_offset", 0.0))
    return ModelOutput(KEYPOINTS if options.decode else kind, stride, _tensor_format(values), offset, options.softmax)


def source_of(run: Run, checked: Samples) -> dict[str, Any]:
    """Where a file came from: its run, and what it was compared with Keras on."""
    history = {"run": str(run.path), "step": run.step, "parent": run.parent, "removal": removal_of(run)}
    return history | checked_on(len(checked.images), checked.kind)


def removal_of(run: Run) -> dict[str, Any] | None:
    """The way to a pruned network, as `hrnet prune` wrote it."""
    plan = load_pruning(run)
    return {name: plan[name] for name in ("cost_unit", "metric", "full_score", "steps")} if plan else None


def _tensor_format(details: dict[str, Any]) -> TensorFormat:
    dtype = np.dtype(details["dtype"]).name
    if dtype == "float32":
        return TensorFormat(dtype)
    scale, zero_point = details["quantization"]
    return TensorFormat(dtype, float(scale) or 1.0, int(zero_point))  # plain bytes are numbers as they stand
