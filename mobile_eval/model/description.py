"""The description of a `.tflite` file: all that evaluating the model needs to know about it, and where it came from.

`archive` stores it in the file as JSON and reads it back.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import BOX_PADDING, GEOMETRIES, STANDARD, UDP, Geometry, heatmap_pixel
from mobile_eval.image.preprocess import CENTER_FRACTION
from mobile_eval.keypoints.decode import BLUR_KERNEL, QUARTERS
from mobile_eval.model.network import DescribedNetwork, DescribedRemoval
from mobile_eval.tasks.detection.constants import (
    ANCHOR_RATIOS,
    ANCHOR_SCALE,
    BOX_IOU,
    BOX_STDS,
    MAX_DETECTIONS,
    RPN_IOU,
    RPN_STDS,
    SCORE_THRESHOLD,
    STRIDES,
)
from mobile_eval.typed import Json, JsonObject, brief, checked

FORMAT_VERSION = 1
HEATMAPS, KEYPOINTS, CLASS_MAPS, CLASS_SCORES = ("heatmaps", "keypoints", "class-maps", "class-scores")
DETECTOR_MAPS, BOX_OUTPUTS = DETECTOR_OUTPUTS = ("detector-maps", "box-outputs")
OBJECT_CENTERS = "object-centers"  # the outputs of a detector in one file
LOCATIONS, SCORES = "locations", "scores"  # the tensors of KEYPOINTS
TENSORS = "tensors"  # outputs that are of no task
CUSTOM_TASK = "custom"  # the task of such a model
OUTPUTS = (HEATMAPS, KEYPOINTS, CLASS_MAPS, CLASS_SCORES, *DETECTOR_OUTPUTS, OBJECT_CENTERS, TENSORS)
MAX_SIDE = 65_536  # pixels
PRECISIONS = ("float32", "float16", "dynamic", "int8", "int16x8")
IMAGES, RANDOM_IMAGES = "images", "random images"  # what a converted file was compared with the Keras model on


@dataclass(frozen=True)
class TensorFormat:
    """How a tensor stores its values: real value = `scale` * (stored - `zero_point`); both are None for float32."""

    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "int8", "uint8"):
            raise HRNetError(f"a model's input and output are float32, int8 or uint8, got {self.dtype!r}")
        if self.dtype != "float32" and (self.scale is None or self.scale <= 0 or self.zero_point is None):
            raise HRNetError(f"{self.dtype} needs a scale and a zero point, got {self.scale} and {self.zero_point}")


@dataclass(frozen=True)
class ModelInput:
    """The input: images (1, height, width, 3), normalized as (value / 255 - `mean`) / `std`.

    Attributes:
        size: (height, width) in pixels.
        mean: Mean of each RGB channel.
        std: Standard deviation of each RGB channel.
        tensor: How the normalized values are stored.
        layout: Order of the axes and channels.
        geometry: How boxes are cropped, and how heatmap pixels correspond to image pixels (see `image.geometry`).
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    tensor: TensorFormat
    layout: str = "NHWC RGB"
    geometry: Geometry = STANDARD

    def __post_init__(self) -> None:
        if not all(1 <= side <= MAX_SIDE for side in self.size):
            raise HRNetError(f"a model's input is 1 to {MAX_SIDE} pixels high and wide, got {self.size[0]}x{self.size[1]}")
        if min(self.std) <= 0:
            raise HRNetError(f"standard deviations must be above 0, got {', '.join(f'{value:g}' for value in self.std)}")
        if self.geometry not in GEOMETRIES:
            raise HRNetError(f"a model's geometry is one of {', '.join(GEOMETRIES)}, got {self.geometry!r}")

    def to_json(self) -> JsonObject:
        """Convert to plain data; the tensor's format is flattened into the entry."""
        data = {"size": list(self.size), "layout": self.layout, "mean": list(self.mean), "std": list(self.std)}
        return {**data, **dataclasses.asdict(self.tensor), "geometry": self.geometry}


@dataclass(frozen=True)
class ModelOutput:
    """The output, by its kind:

    - HEATMAPS: (1, height / stride, width / stride, joints).
    - KEYPOINTS: the model decodes its heatmaps. Locations (1, joints, 2) are int32 x and y in quarters of a heatmap pixel;
      scores (1, joints) are stored as `tensor`.
    - CLASS_MAPS: logits (1, height / stride, width / stride, classes).
    - CLASS_SCORES: logits (1, classes) of the image; `stride` is 0.
    - DETECTOR_MAPS and BOX_OUTPUTS: the two files of a detector, see `tasks.detection.constants.tensor_shapes`; `tensor` is the
      format of the first output.
    - OBJECT_CENTERS: the outputs of a detector in one file, see `tasks.detection.centers`: "centers", logits (1, height / stride,
      width / stride, classes), "sizes" and "offsets", each (1, height / stride, width / stride, 2), in the order of
      `ModelDescription.outputs`; `tensor` is the format of the first.
    - TENSORS: outputs that are of no task, such as several; `ModelDescription.outputs` lists them. `stride` is 0, and `tensor` is
      the format of the first output that has one.

    Attributes:
        kind: One of OUTPUTS.
        stride: Input pixels per output pixel.
        tensor: How the values are stored.
        offset: Heatmap pixels to add to decoded locations: 0.5 for the official landmark networks, whose training targets were
            rounded down.
        softmax: Whether CLASS_SCORES are probabilities instead of logits.
    """

    kind: str
    stride: int
    tensor: TensorFormat
    offset: float = 0.0
    softmax: bool = False

    def __post_init__(self) -> None:
        if self.kind not in OUTPUTS:
            raise HRNetError(f"a model's output is one of {', '.join(OUTPUTS)}, got {self.kind!r}")
        least = 0 if self.kind in (CLASS_SCORES, BOX_OUTPUTS, TENSORS) else 1
        if self.stride < least:
            raise HRNetError(f"the stride of {self.kind} must be at least {least}, got {self.stride}")

    @property
    def predicts_classes(self) -> bool:
        """Whether the outputs are classes instead of keypoints."""
        return self.kind in (CLASS_MAPS, CLASS_SCORES, *DETECTOR_OUTPUTS, OBJECT_CENTERS)

    def to_json(self) -> JsonObject:
        """Convert to plain data; `offset` and `softmax` are stored only where they are set."""
        data = {"kind": self.kind, "stride": self.stride, **dataclasses.asdict(self.tensor)}
        return {**data, **({"offset": self.offset} if self.offset else {}), **({"softmax": True} if self.softmax else {})}


@dataclass(frozen=True)
class OutputTensor:
    """One output tensor of a file. Real value = `scale` * (stored - `zero_point`); both are None for unquantized values.

    Attributes:
        name: The name in the file's signature.
        shape: The shape, with the batch axis.
        dtype: The stored type.
        content: A sentence that says what the values are.
        scale: Quantization scale.
        zero_point: Quantization zero point.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    content: str
    scale: float | None = None
    zero_point: int | None = None

    def to_json(self) -> JsonObject:
        """Convert to plain data."""
        return {**dataclasses.asdict(self), "shape": list(self.shape)}


@dataclass(frozen=True)
class Flatbuffer:
    """The flatbuffer that a description belongs to."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class BoxesFile:
    """The second file of a detector, which is in the same folder as the first.

    Attributes:
        name: Its file name.
        sha256: Checksum of its flatbuffer.
        width: Channels of the feature maps.
        candidates: Number of best anchors per level that non-maximum suppression looks at.
        proposals: Number of boxes that the second file takes.
        rounds_up: Whether the size of P6 is rounded up, see `mobile_eval.tasks.detection.constants.level_sizes`.
    """

    name: str
    sha256: str
    width: int
    candidates: int
    proposals: int
    rounds_up: bool = False

    def __post_init__(self) -> None:
        if Path(self.name).name != self.name or self.name in ("", ".."):
            raise HRNetError(f"a detector's second file is in the folder of the first, got {self.name!r}")


@dataclass(frozen=True)
class ModelDescription:
    """All that evaluating a model needs to know about it, and where it came from.

    Attributes:
        name: Name of the network.
        precision: One of PRECISIONS.
        input: The input.
        output: The output.
        category: Joints or landmarks; no joints where the model predicts classes or other tensors.
        network: Empty for a model that contains no network of `hrnet_tf`; else "architecture", "spec" (read by `hrnet_tf` only)
            and, for an HRNet, "width", "stages", "outputs", "live_branches", "links", "removed_links" and "removed_blocks"; see
            `network.DescribedNetwork`.
        parameters: Number of parameters.
        multiply_adds: Multiply-adds of one image.
        importance: Importance of each link of the full network; a higher number means that the link is needed more.
        source: Where the model came from: its run and that run's parent, if any, "removal" of a pruned network (see
            `network.DescribedRemoval`), and "checked_on" (see `checked_on`).
        versions: Versions of the libraries that made the file.
        license: Licence of the weights.
        task: Name of the task; CUSTOM_TASK for TENSORS.
        classes: Names of the classes, by index; empty where the model does not predict classes.
        outputs: The output tensors, in the file's order.
        flatbuffer: Set when the description is embedded; None where another tool rewrote the file.
        boxes: Set in both files of a detector.
    """

    name: str
    precision: str
    input: ModelInput
    output: ModelOutput
    category: KeypointCategory
    network: JsonObject
    parameters: int
    multiply_adds: int
    importance: dict[str, float] | None = None
    source: JsonObject = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    license: str = ""
    task: str = "pose"
    classes: tuple[str, ...] = ()
    outputs: tuple[OutputTensor, ...] = ()
    flatbuffer: Flatbuffer | None = None
    boxes: BoxesFile | None = None

    def __post_init__(self) -> None:
        if self.output.predicts_classes != bool(self.classes):
            raise HRNetError(
                f"{self.name}: {len(self.classes)} class names do not go with the output {self.output.kind}; "
                "expected class names for a model that predicts classes, and none for keypoints"
            )
        if self.output.kind in (OBJECT_CENTERS, TENSORS) and not self.outputs:
            raise HRNetError(f"{self.name}: a model with the output {self.output.kind} needs the list of its outputs")
        if self.precision not in PRECISIONS:
            raise HRNetError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the predicted joints, landmarks or classes, by channel."""
        return self.classes or self.category.joints

    @property
    def preprocessing(self) -> JsonObject:
        """How the pixels that the model sees are taken from an image; empty where it takes no images of a task.

        It follows from the kind of output and the geometry. Normalization and quantization are in `input`.
        """
        kind, (height, width) = self.output.kind, self.input.size
        if kind in (HEATMAPS, KEYPOINTS):
            crop = {"region": "box", "box_padding": BOX_PADDING, "aspect_ratio": width / height}
            return {**crop, "interpolation": "bilinear", "border": [0, 0, 0], "matrix": self.input.geometry}
        if kind == CLASS_SCORES:
            how = "bilinear, averaging where the image shrinks"
            return {"region": "center", "fraction": CENTER_FRACTION, "interpolation": how}
        if kind in (CLASS_MAPS, DETECTOR_MAPS):
            return {"region": "image", "keeps_aspect_ratio": False, "interpolation": "bilinear"}
        return {}

    @property
    def decoding(self) -> JsonObject:
        """How the values of the outputs become a prediction; empty for outputs of no task.

        It follows from the kind of output and the geometry. `keypoints.decode` has the rules of keypoints.
        """
        kind = self.output.kind
        if kind in (HEATMAPS, KEYPOINTS):
            rules: dict[str, JsonObject] = {STANDARD: {"rule": "quarter"}, UDP: {"rule": "udp", "blur_kernel": BLUR_KERNEL}}
            in_model = {"rule": "in the model", "steps_per_heatmap_pixel": QUARTERS}
            pixel = heatmap_pixel(self.input.size, self.input.geometry, self.output.stride).tolist()
            rule = in_model if kind == KEYPOINTS else rules[self.input.geometry]
            return {**rule, "heatmap_pixel": pixel, "offset": self.output.offset, "least_score": 0.0}
        if kind == CLASS_MAPS:
            return {"rule": "argmax", "of": "logits", "upsampling": "bilinear, to the size of the image"}
        if kind == CLASS_SCORES:
            return {"rule": "argmax", "of": "probabilities" if self.output.softmax else "logits"}
        if kind in DETECTOR_OUTPUTS:
            anchors = {"strides": list(STRIDES), "anchor_scale": ANCHOR_SCALE, "anchor_ratios": list(ANCHOR_RATIOS)}
            proposals = {"proposal_stds": list(RPN_STDS), "proposal_iou": RPN_IOU}
            boxes = {"box_stds": list(BOX_STDS), "box_iou": BOX_IOU}
            limits = {"least_score": SCORE_THRESHOLD, "most_objects": MAX_DETECTIONS}
            return {"rule": "faster-rcnn", **anchors, **proposals, **boxes, **limits}
        return {}

    def to_json(self) -> JsonObject:
        """Convert to plain data, as it is stored, with `preprocessing` and `decoding`."""
        data = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        data["input"], data["output"] = self.input.to_json(), self.output.to_json()
        data["outputs"] = [tensor.to_json() for tensor in self.outputs]
        data["category"], data["classes"] = self.category.to_json(), list(self.classes)
        data["flatbuffer"] = dataclasses.asdict(self.flatbuffer) if self.flatbuffer else None
        boxes = data.pop("boxes")
        data |= {"preprocessing": self.preprocessing, "decoding": self.decoding}
        return {"format_version": FORMAT_VERSION, **data, **({"boxes": dataclasses.asdict(boxes)} if boxes else {})}

    @classmethod
    def from_json(cls, data: Json) -> ModelDescription:
        """Read what `to_json` returned.

        Raises:
            HRNetError: An entry is missing or wrong, or the format has another version.
        """
        if not isinstance(data, dict) or data.get("format_version") != FORMAT_VERSION:
            version = data.get("format_version") if isinstance(data, dict) else None
            raise HRNetError(f"the model's description has format version {brief(version)}, expected {FORMAT_VERSION}")
        place = "the model's description"
        stored = _StoredEntries.from_json(data, place)
        fields = {
            **data,
            "input": {**stored.input, "tensor": stored.input},
            "output": {**stored.output, "tensor": stored.output},
            "category": KeypointCategory.from_json(data["category"]),  # checked as `stored.category`
        }
        description: ModelDescription = checked(fields, cls, place, extra=True)
        return description


@dataclass(frozen=True)
class _StoredCategory:
    """A category in COCO's form; `skeleton` is 1-based."""

    name: str
    keypoints: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...] | None = None
    sigmas: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not all(1 <= joint <= len(self.keypoints) for bone in self.skeleton or () for joint in bone):
            raise HRNetError(f"the skeleton has keypoints outside of 1 to {len(self.keypoints)}")


@dataclass(frozen=True)
class _StoredSource:
    """The entries of "source" that reports read."""

    removal: DescribedRemoval | None = None


@dataclass(frozen=True)
class _StoredEntries:
    """The entries of the JSON whose form differs from the fields of `ModelDescription`, or which it keeps as plain data."""

    input: JsonObject
    output: JsonObject
    category: _StoredCategory
    network: JsonObject
    source: _StoredSource = _StoredSource()

    @classmethod
    def from_json(cls, data: JsonObject, place: str) -> _StoredEntries:
        entries: _StoredEntries = checked(data, cls, place, extra=True)
        if {"links", "removed_links"} & set(entries.network):  # other networks have no links
            DescribedNetwork.from_json(entries.network, f"{place}, network")
        return entries


def default_class_names(count: int) -> tuple[str, ...]:
    """The names of `count` classes whose names are not known: `class_0`, `class_1`, ..."""
    return tuple(f"class_{index}" for index in range(count))


def checked_on(count: int, inputs: str) -> JsonObject:
    """The entry of `source` that says what the file was compared with the Keras model on when it was converted.

    Args:
        count: Number of images.
        inputs: IMAGES or RANDOM_IMAGES.
    """
    return {"checked_on": {"count": count, "inputs": inputs}}


def is_checked_on_random(source: JsonObject) -> bool:
    """Whether the file was compared with the Keras model on random images alone; False where this is not known."""
    checked_inputs = source.get("checked_on")
    return isinstance(checked_inputs, dict) and checked_inputs.get("inputs") == RANDOM_IMAGES
