"""Describe a converted model: the description that is stored in its file."""

from __future__ import annotations

import importlib.metadata

import numpy as np

from conversion.draft import Draft
from conversion.models import BYTE
from conversion.options import ConvertOptions
from conversion.outputs import output_texts
from conversion.quantization.samples import Samples, run_geometry
from hrnet_tf.runs.pruning import load_pruning
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.architectures import network_description
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import STEM_STRIDE
from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.image.geometry import HEATMAP_STRIDE, Geometry
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD
from mobile_eval.model.description import (
    BOX_OUTPUTS,
    CLASS_MAPS,
    CLASS_SCORES,
    DETECTOR_MAPS,
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
from mobile_eval.runtime.interpreter import TensorDetails
from mobile_eval.tasks.detection.constants import POOLED_SIZE, STRIDES
from mobile_eval.typed import JsonObject

PACKAGES = ("tensorflow", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert")
OUTPUT_KINDS = {  # kind and stride of each head's output
    "heatmap": (HEATMAPS, HEATMAP_STRIDE),
    "multiscale_heatmap": (HEATMAPS, HEATMAP_STRIDE),
    "dense": (CLASS_MAPS, STEM_STRIDE),
    "classification": (CLASS_SCORES, 0),
}
ZEROS, ONES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)  # mean and standard deviation of each channel
AS_BYTES = (ZEROS, (1 / BYTE, 1 / BYTE, 1 / BYTE))  # the input is bytes, normalized in the model
AS_FEATURES = (ZEROS, ONES)  # the input is features, which are not normalized


def describe(run: Run, options: ConvertOptions, draft: Draft, compared: Samples) -> ModelDescription:
    """Describe the file of a network other than a detector.

    Args:
        run: The run that was converted.
        options: Conversion options.
        draft: The converted model.
        compared: Images that the file is compared with the Keras model on.
    """
    geometry = run_geometry(run)
    mean, std = AS_BYTES if options.camera else IMAGENET
    source = ModelInput(run.spec.input_size, mean, std, _tensor_format(draft.input), geometry=geometry)
    kind, stride = OUTPUT_KINDS[run.spec.head_kind]
    values = next(details for details in draft.outputs if details["dtype"] != np.int32)  # decoding: the scores
    offset = float(run.config.get("heatmap_offset", 0.0))
    output = ModelOutput(KEYPOINTS if options.decode else kind, stride, _tensor_format(values), offset, options.softmax)
    return _description(run, options, source, output, draft, compared)


def describe_maps(run: Run, options: ConvertOptions, draft: Draft, boxes: BoxesFile, compared: Samples) -> ModelDescription:
    """Describe the first file of a detector, which stands for both; see `describe`."""
    mean, std = AS_BYTES if options.camera else IMAGENET
    source = ModelInput(run.spec.input_size, mean, std, _tensor_format(draft.input))
    largest = max(draft.outputs, key=lambda details: int(np.prod(details["shape"])))
    output = ModelOutput(DETECTOR_MAPS, STRIDES[0], _tensor_format(largest))
    return _description(run, options, source, output, draft, compared, boxes)


def describe_boxes(run: Run, options: ConvertOptions, draft: Draft, boxes: BoxesFile, compared: Samples) -> ModelDescription:
    """Describe the second file of a detector; see `describe`."""
    layout = f"{boxes.proposals} boxes, NHWC"
    source = ModelInput((POOLED_SIZE, POOLED_SIZE), *AS_FEATURES, _tensor_format(draft.input), layout)
    output = ModelOutput(BOX_OUTPUTS, 0, _tensor_format(draft.outputs[0]))
    return _description(run, options, source, output, draft, compared, boxes)


def _description(
    run: Run,
    options: ConvertOptions,
    source: ModelInput,
    output: ModelOutput,
    draft: Draft,
    compared: Samples,
    boxes: BoxesFile | None = None,
) -> ModelDescription:
    cost = complexity(run.spec)
    return ModelDescription(
        name=run.spec.name,
        precision=options.format,
        input=source,
        output=output,
        outputs=output_tensors(draft, output, source.geometry),
        category=_category(run),
        classes=tuple(run.category.get("classes", ())),
        network=network_description(run.spec),
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        importance=_importance(run),
        source=source_of(run, compared),
        task=run.spec.task,
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
        boxes=boxes,
    )


def _importance(run: Run) -> dict[str, float] | None:
    """Importance of each link by name, if the run is ranked."""
    return run.ranking.link_importance() if run.is_ranked else None


def _category(run: Run) -> KeypointCategory:
    """The keypoints of a run; a category without keypoints if it has classes."""
    category = run.category if "keypoints" in run.category else {"name": run.category["name"], "keypoints": []}
    return KeypointCategory.from_json(category)


def source_of(run: Run, compared: Samples) -> JsonObject:
    """Return where a file came from: its run, and the images that it was compared with Keras on."""
    history = {"run": str(run.path), "step": run.step, "parent": run.parent_path, "removal": removal_of(run)}
    return history | checked_on(len(compared.images), compared.kind)


def removal_of(run: Run) -> JsonObject | None:
    """Return how a pruned network was pruned, from pruning.json; None if it was not."""
    record = load_pruning(run)
    if record is None:
        return None
    plan = record.plan
    steps = [step.to_json() for step in plan.steps]
    return {"cost_unit": plan.cost_unit, "metric": plan.metric, "full_score": plan.model_score, "steps": steps}


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
        tensors.append(OutputTensor(name, shape, dtype, texts[name], *quantization))
    return tuple(tensors)


def _tensor_format(details: TensorDetails) -> TensorFormat:
    dtype = np.dtype(details["dtype"]).name
    if dtype == "float32":
        return TensorFormat(dtype)
    scale, zero_point = details["quantization"]
    return TensorFormat(dtype, float(scale) or 1.0, int(zero_point))  # plain bytes have no quantization: scale 1
