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
from hrnet_tf.runs.pruning import load_pruning
from hrnet_tf.runs.ranking import load_ranking
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.network import STEM_STRIDE
from mobile_eval.datasets.coco.keypoints import KeypointCategory
from mobile_eval.image.geometry import HEATMAP_STRIDE
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD
from mobile_eval.model.checked_inputs import checked_on
from mobile_eval.model.description import (
    CLASS_MAPS,
    CLASS_SCORES,
    HEATMAPS,
    KEYPOINTS,
    ModelDescription,
    ModelInput,
    ModelOutput,
    TensorFormat,
)

PACKAGES = ("tensorflow", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert")
ANSWERS = {  # what comes out of a task's network, and at which stride
    "pose": (HEATMAPS, HEATMAP_STRIDE),
    "landmarks": (HEATMAPS, HEATMAP_STRIDE),
    "segmentation": (CLASS_MAPS, STEM_STRIDE),
    "classification": (CLASS_SCORES, 0),
}
AS_IT_IS = ((0.0, 0.0, 0.0), (1 / BYTE, 1 / BYTE, 1 / BYTE))  # mean and standard deviation of bytes that stay bytes


def describe(run: Run, options: ConvertOptions, interpreter: Any, checked: Samples) -> ModelDescription:
    """The description of a file that `interpreter` runs, made of `run` and compared with Keras on `checked`."""
    cost = complexity(run.spec)
    importance = None
    if (run.path / "ranking.json").is_file():
        importance = load_ranking(run).link_importance()
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
    kind, stride = ANSWERS[run.spec.task]
    values = next(details for details in interpreter.get_output_details() if details["dtype"] != np.int32)  # not the locations
    offset = float(run.config.get("heatmap_offset", 0.0))
    return ModelOutput(KEYPOINTS if options.decode else kind, stride, _tensor_format(values), offset, options.softmax)


def source_of(run: Run, checked: Samples) -> dict[str, Any]:
    """Where a file came from: its run, and what it was compared with Keras on."""
    history = {"run": str(run.path), "step": run.step, "parent": run.parent, "removal": removal_of(run)}
    return history | checked_on(len(checked.images), checked.kind)


def removal_of(run: Run) -> dict[str, Any] | None:
    """The way to a pruned network, as `hrnet prune` wrote it."""
    record = load_pruning(run)
    if record is None:
        return None
    plan = record.plan
    steps = [step.to_json() for step in plan.steps]
    return {"cost_unit": plan.cost_unit, "metric": plan.metric, "full_score": plan.full_score, "steps": steps}


def _tensor_format(details: dict[str, Any]) -> TensorFormat:
    dtype = np.dtype(details["dtype"]).name
    if dtype == "float32":
        return TensorFormat(dtype)
    scale, zero_point = details["quantization"]
    return TensorFormat(dtype, float(scale) or 1.0, int(zero_point))  # plain bytes are numbers as they stand
