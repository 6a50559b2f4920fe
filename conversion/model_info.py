"""What the description of a file says of its network, besides what the file itself shows."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.graph import output_tensors
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.trunk import contains_network, input_shape_of, spec_of
from hrnet_tf.runs.pruning import load_pruning
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.keypoint_categories import category_for
from hrnet_tf.spec.network import CENTERS, PYRAMID, STEM_STRIDE
from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.flip_pairs import check_pairs, keypoint_index
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import HEATMAP_STRIDE, STANDARD, Geometry, geometry_of
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD, normalize
from mobile_eval.model.description import (
    CLASS_MAPS,
    CLASS_SCORES,
    CUSTOM_TASK,
    DETECTOR_MAPS,
    HEATMAPS,
    OBJECT_CENTERS,
    TENSORS,
    default_class_names,
)
from mobile_eval.tasks.detection.constants import CENTER_STRIDE, STRIDES
from mobile_eval.tasks.registry import TASKS
from mobile_eval.typed import JsonObject, Size, brief

OUTPUT_KINDS = {  # kind and stride of each head's output
    "heatmap": (HEATMAPS, HEATMAP_STRIDE),
    "multiscale_heatmap": (HEATMAPS, HEATMAP_STRIDE),
    "dense": (CLASS_MAPS, STEM_STRIDE),
    "object_context": (CLASS_MAPS, STEM_STRIDE),
    "classification": (CLASS_SCORES, 0),
    "detection": (DETECTOR_MAPS, STRIDES[0]),
    "centers": (OBJECT_CENTERS, CENTER_STRIDE),
}
HEATMAP_TASKS = ("pose", "landmarks")
CATEGORY_NAMES = {"pose": "person", "landmarks": "face"}
BYTE = 255.0

Color = tuple[float, float, float]  # a number for each RGB channel
Keypoint = str | int  # a name, or an index from 0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a network.

    Attributes:
        name: Its name.
        task: Its task; CUSTOM_TASK for outputs of no task.
        kind: Kind of its output, one of `mobile_eval.model.description.OUTPUTS`.
        stride: Input pixels per output pixel; 0 for outputs that are no maps.
        size: (height, width) of its input in pixels.
        category: Its joints or landmarks; no joints where it predicts something else.
        classes: Names of its classes, by index.
        spec: Its spec; None for a model that contains no network of the package.
        parameters: Number of parameters; None for that of the spec.
        mean: Mean of RGB, in 0..1, that it is given images without.
        std: Standard deviation of RGB, that it is given images divided by.
        geometry: How boxes are cropped for it, see `mobile_eval.image.geometry`.
        offset: Heatmap pixels to add to decoded locations.
        probabilities: Whether its class scores are probabilities.
        importance: Importance of each link by name, if known.
        source: Where it came from.
    """

    name: str
    task: str
    kind: str
    stride: int
    size: Size
    category: KeypointCategory
    classes: tuple[str, ...]
    spec: Network | None
    parameters: int | None = None
    mean: Color = IMAGENET_MEAN
    std: Color = IMAGENET_STD
    geometry: Geometry = STANDARD
    offset: float = 0.0
    probabilities: bool = False
    importance: dict[str, float] | None = None
    source: JsonObject = field(default_factory=dict)

    def prepare(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return images as the Keras model takes them: RGB bytes are normalized, floats are returned as they are."""
        if images.dtype == np.uint8:
            return normalize(np.asarray(images, np.uint8), self.mean, self.std)
        return np.asarray(images, np.float32)

    def as_bytes(self, images: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Return images as RGB bytes: those that are normalized to `images`, rounded, if these are floats."""
        if images.dtype == np.uint8:
            return np.asarray(images, np.uint8)
        values = BYTE * (np.asarray(images, np.float32) * np.array(self.std, np.float32) + np.array(self.mean, np.float32))
        return np.clip(np.rint(values), 0, BYTE).astype(np.uint8)


def output_of(spec: Network) -> tuple[str, int]:
    """Return the kind and the stride of a network's output."""
    kind, stride = OUTPUT_KINDS[spec.head_kind]
    return kind, spec.output_stride if isinstance(spec, BaselineSpec) and kind in (HEATMAPS, CLASS_MAPS) else stride


def info_of_run(run: Run) -> ModelInfo:
    """Return what a run knows of its network."""
    has_keypoints = "keypoints" in run.category
    category = run.category if has_keypoints else {"name": run.category["name"], "keypoints": []}
    history = {"run": str(run.path), "step": run.step, "parent": run.parent_path, "removal": _removal_of(run)}
    kind, stride = output_of(run.spec)
    return ModelInfo(
        name=run.spec.name,
        task=run.spec.task,
        kind=kind,
        stride=stride,
        size=run.spec.input_size,
        category=KeypointCategory.from_json(category),
        classes=tuple(run.category.get("classes", ())),
        spec=run.spec,
        geometry=geometry_of(run.config.get("targets")),
        offset=float(run.config.get("heatmap_offset", 0.0)),
        importance=run.ranking.link_importance() if run.is_ranked else None,
        source=history,
    )


def _removal_of(run: Run) -> JsonObject | None:
    """How a pruned network was pruned, from pruning.json; None if it was not."""
    record = load_pruning(run)
    if record is None:
        return None
    plan = record.plan
    steps = [step.to_json() for step in plan.steps]
    return {"cost_unit": plan.cost_unit, "metric": plan.metric, "full_score": plan.model_score, "steps": steps}


@dataclass(frozen=True)
class ModelLabels:
    """What a user says of a model; None where the model, or its spec, says it. See `conversion.convert.convert`."""

    task: str | None = None
    labels: Sequence[str] | None = None
    skeleton: Sequence[tuple[Keypoint, Keypoint]] | None = None
    flip_pairs: Sequence[tuple[Keypoint, Keypoint]] | None = None
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD

    def __post_init__(self) -> None:
        known = (*TASKS, CUSTOM_TASK)
        if self.task is not None and self.task not in known:
            raise HRNetError(f"`task` must be one of {', '.join(known)}, got {self.task!r}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            numbers = np.asarray(values, np.float64)
            if numbers.shape != (3,) or not np.isfinite(numbers).all() or (name == "std" and numbers.min() <= 0):
                above = " above 0" if name == "std" else ""
                raise HRNetError(f"`{name}` must be three numbers{above}, of red, green and blue in 0..1, got {brief(values)}")
        if self.labels is not None and (isinstance(self.labels, str) or not all(isinstance(name, str) for name in self.labels)):
            raise HRNetError(f"`labels` must be a list of names, got {brief(self.labels)}")


def info_of_model(model: KerasModel, float_model: KerasModel, labels: ModelLabels) -> ModelInfo:
    """Return what a Keras model, and what its user says of it, tell.

    Args:
        model: The model, which may be a quantized detector of two stages.
        float_model: The model in float, folded.
        labels: What the user says.

    Raises:
        HRNetError: The task is not known, or something that the user says does not fit the outputs.
    """
    spec = spec_of(model) if contains_network(model) else None
    is_detector = spec is not None and spec.head_kind == "detection"
    shapes = [] if is_detector else [tuple(x.shape[1:]) for x in output_tensors(model)]
    size = spec.input_size if spec is not None and is_detector else input_shape_of(model)[:2]
    has_package_head = spec is not None and (is_detector or _is_output_of(spec, shapes))
    if spec is not None and has_package_head and labels.task in (None, spec.task):
        (kind, stride), task, channels = output_of(spec), spec.task, spec.classes
    else:
        task = labels.task or _task_by_shape(model.name, shapes)
        kind, stride = _kind_and_stride(model.name, task, shapes, size)
        channels = 0 if kind == TENSORS else int(shapes[0][-1])
    category, classes = _named(task, kind, channels, labels, category_for(spec) if spec and has_package_head else None)
    mean, std = (tuple(map(float, values)) for values in (labels.mean, labels.std))
    return ModelInfo(
        name=model.name,
        task=task,
        kind=kind,
        stride=stride,
        size=(int(size[0]), int(size[1])),
        category=category,
        classes=classes,
        spec=spec,
        parameters=None if has_package_head else int(float_model.count_params()),
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        probabilities=kind == CLASS_SCORES and _ends_in_softmax(float_model),
    )


def _is_output_of(spec: Network, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether shapes of outputs are those of the head in the spec, and not of layers of a user behind it."""
    if spec.head_kind == PYRAMID:
        return False
    stride = output_of(spec)[1]
    height, width = (-(-side // max(stride, 1)) for side in spec.input_size)
    maps = (height, width, spec.classes)
    if spec.head_kind == CENTERS:
        return sorted(shapes) == sorted([maps, (height, width, 2), (height, width, 2)])
    return list(shapes) == [(spec.classes,) if spec.head_kind == "classification" else maps]


def _task_by_shape(name: str, shapes: Sequence[tuple[int, ...]]) -> str:
    """The task of outputs, by their shapes."""
    if len(shapes) != 1 or len(shapes[0]) not in (1, 3):
        return CUSTOM_TASK
    if len(shapes[0]) == 1:
        return "classification"
    shape = ", ".join(map(str, shapes[0]))
    raise HRNetError(
        f"`task` is needed: the output (N, {shape}) of {name} can be of pose, landmarks or segmentation, or {CUSTOM_TASK}"
    )


def _kind_and_stride(name: str, task: str, shapes: Sequence[tuple[int, ...]], size: tuple[int, ...]) -> tuple[str, int]:
    """Kind and stride of the outputs of a model for a task; HRNetError if the shapes do not fit."""
    if any(None in shape for shape in shapes):
        raise HRNetError(f"`model` {name} must have outputs of fixed size, got {brief([list(shape) for shape in shapes])}")
    if task == CUSTOM_TASK:
        return TENSORS, 0
    if task == "detection":
        raise HRNetError(f"`task` detection needs a detector of the package, such as HRNet('detect-w32'); {name} is none")
    listed = " and ".join(f"(N, {', '.join(map(str, shape))})" for shape in shapes)
    if len(shapes) == 1 and len(shapes[0]) == 1 and task not in (*HEATMAP_TASKS, "segmentation"):
        return CLASS_SCORES, 0
    if len(shapes) != 1 or len(shapes[0]) != 3 or task == "classification":
        expected = "(N, classes)" if task == "classification" else "(N, height, width, channels)"
        raise HRNetError(f"`task` {task} needs one output, {expected}; {name} has {listed}")
    height, width, _ = shapes[0]
    stride = size[0] // height
    if (height * stride, width * stride) != tuple(size):
        raise HRNetError(f"`task` {task} needs maps whose size divides the input's, {size[0]}x{size[1]}; {name} has {listed}")
    return (HEATMAPS if task in HEATMAP_TASKS else CLASS_MAPS), stride


def _named(
    task: str, kind: str, channels: int, labels: ModelLabels, known: JsonObject | None
) -> tuple[KeypointCategory, tuple[str, ...]]:
    """The keypoints of a model, and the names of its classes. `known` is the category of a network of the package."""
    for name in ("skeleton", "flip_pairs"):
        if getattr(labels, name) is not None and kind != HEATMAPS:
            raise HRNetError(f"`{name}` is for key points, which a {task} model has none of")
    names = None if labels.labels is None else tuple(labels.labels)
    if names is not None and (len(names) != channels or len(set(names)) != channels):
        expected = f"{channels} different names, one for each channel of the output" if channels else "none for several outputs"
        raise HRNetError(f"`labels` must be {expected}, got {len(names)}: {brief(list(names))}")
    if kind != HEATMAPS:
        classes = () if kind == TENSORS else names or _default_names(default_class_names(channels), "classes")
        return KeypointCategory(CATEGORY_NAMES.get(task, task), ()), classes
    if names is None:
        of_dataset = known is not None and known["skeleton"]  # COCO's or MPII's
        joints = tuple(known["keypoints"]) if known and of_dataset else tuple(map(str, range(channels)))
        names = _default_names(joints, "key points")
    data: JsonObject = {"name": CATEGORY_NAMES[task], "keypoints": list(names)}
    if labels.skeleton is not None:
        data["skeleton"] = [[joint + 1 for joint in bone] for bone in _bones(labels.skeleton, names)]
    elif known and list(names) == known["keypoints"]:
        data["skeleton"] = known["skeleton"]
    category = KeypointCategory.from_json(data)
    if labels.flip_pairs is not None:
        category = dataclasses.replace(category, flip_pairs=check_pairs(list(labels.flip_pairs), names, "`flip_pairs`"))
    return category, ()


def _default_names(names: tuple[str, ...], what: str) -> tuple[str, ...]:
    logger.info("no `labels`: the %s are named %s", what, ", ".join(names[:3]) + (", ..." if len(names) > 3 else ""))
    return names


def _bones(skeleton: Sequence[tuple[Keypoint, Keypoint]], names: Sequence[str]) -> list[tuple[int, int]]:
    """The skeleton as pairs of indices."""
    bones = []
    for bone in skeleton:
        if isinstance(bone, str) or len(bone) != 2:
            raise HRNetError(f"`skeleton` must be pairs of key points, by name or index, got {brief(bone)}")
        bones.append((keypoint_index(bone[0], names, "`skeleton`"), keypoint_index(bone[1], names, "`skeleton`")))
    return bones


def _ends_in_softmax(model: KerasModel) -> bool:
    """Whether the only output of a model is that of a softmax layer."""
    [output] = output_tensors(model)
    layer = next((layer for layer in model.layers if output is layer.output), None)
    softmax = keras.activations.softmax
    return type(layer).__name__ == "Softmax" or (layer is not None and getattr(layer, "activation", None) is softmax)


def cost_of(info: ModelInfo) -> tuple[int, int] | None:
    """The parameters and multiply-adds of a network with a head of the package; None for other models."""
    if info.spec is None or info.parameters is not None:
        return None
    cost = complexity(info.spec)
    return cost.parameters, cost.multiply_adds
