"""A `.tflite` file that describes itself.

The description is JSON, in a zip appended to the flatbuffer as member `model.json`: runtimes read the flatbuffer and ignore what
follows, `unzip -p M.tflite model.json` shows it, and `M.json` beside holds the same. `keypoints.txt` or `labels.txt` has the
names, for readers of TFLite metadata, which take no deflated members. The flatbuffer's length and checksum are in it too.
"""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_eval.datasets.coco.keypoints import KeypointCategory
from mobile_eval.errors import HRNetError
from mobile_eval.files import parse_json, read_bytes, sha256, write_bytes, write_json
from mobile_eval.image.geometry import GEOMETRIES, STANDARD, Geometry
from mobile_eval.model.description_beside import check_whole, description_beside, why_none
from mobile_eval.model.output_tensors import OutputTensor
from mobile_eval.model.stored_description import StoredParts
from mobile_eval.typed import brief, checked

FORMAT_VERSION = 1
MEMBER = "model.json"
JOINTS_MEMBER, CLASSES_MEMBER = "keypoints.txt", "labels.txt"
FLATBUFFER_IDENTIFIER = b"TFL3"
HEATMAPS, KEYPOINTS, CLASS_MAPS, CLASS_SCORES = ("heatmaps", "keypoints", "class-maps", "class-scores")
DETECTOR_MAPS, BOX_ANSWERS = OF_DETECTORS = ("detector-maps", "box-answers")
OUTPUTS = (HEATMAPS, KEYPOINTS, CLASS_MAPS, CLASS_SCORES, *OF_DETECTORS)
LARGEST_SIDE = 65_536
LARGEST_DESCRIPTION = 2**26  # bytes
PRECISIONS = ("float32", "float16", "dynamic", "int8", "int16x8")
REMEDY = "convert it again with `hrnet convert`"
NOT_OF_THIS_PACKAGE = f"has no description at its end: it is truncated or not of this package; {REMEDY}"


@dataclass(frozen=True)
class TensorFormat:
    """How numbers are stored: real value = `scale` * (stored - `zero_point`); both None for float32."""

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
    """Images (1, height, width, 3) of `size` (height, width): value / 255, minus `mean`, divided by `std`.

    `geometry`, one of `image.geometry`'s, is how a box is cut out, and how places in heatmaps are places in the image.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    tensor: TensorFormat
    layout: str = "NHWC RGB"
    geometry: Geometry = STANDARD

    def __post_init__(self) -> None:
        if not all(1 <= side <= LARGEST_SIDE for side in self.size):
            raise HRNetError(f"a model's input is 1 to {LARGEST_SIDE} pixels high and wide, got {self.size[0]}x{self.size[1]}")
        if min(self.std) <= 0:
            raise HRNetError(f"standard deviations are above 0, got {', '.join(f'{value:g}' for value in self.std)}")
        if self.geometry not in GEOMETRIES:
            raise HRNetError(f"a model's geometry is one of {', '.join(GEOMETRIES)}, got {self.geometry!r}")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        data = {"size": list(self.size), "layout": self.layout, "mean": list(self.mean), "std": list(self.std)}
        return {**data, **dataclasses.asdict(self.tensor), "geometry": self.geometry}


@dataclass(frozen=True)
class ModelOutput:
    """What comes out: `kind` is one of OUTPUTS.

    HEATMAPS: (1, height / stride, width / stride, joints). KEYPOINTS, of a model with decoding in its graph: locations
    (1, joints, 2), int32 as x and y in quarters of a heatmap pixel, and scores (1, joints), which `tensor` is the format of.
    CLASS_MAPS: logits (1, height / stride, width / stride, classes). CLASS_SCORES: logits (1, classes) of the whole image, with
    `stride` 0. DETECTOR_MAPS and BOX_ANSWERS are of a detector's two files, see `detector.tensors`; `tensor` is the first's.

    `offset` is to be added to what is found in heatmaps, in their pixels: 0.5 for a network whose targets were rounded down, as
    those of the official landmark networks. With `softmax` CLASS_SCORES are probabilities.
    """

    kind: str
    stride: int
    tensor: TensorFormat
    offset: float = 0.0
    softmax: bool = False

    def __post_init__(self) -> None:
        if self.kind not in OUTPUTS:
            raise HRNetError(f"a model's output is one of {', '.join(OUTPUTS)}, got {self.kind!r}")
        least = 0 if self.kind in (CLASS_SCORES, BOX_ANSWERS) else 1
        if self.stride < least:
            raise HRNetError(f"the stride of {self.kind} is at least {least}, got {self.stride}")

    @property
    def is_of_classes(self) -> bool:
        """Whether it is classes that come out, and not keypoints."""
        return self.kind in (CLASS_MAPS, CLASS_SCORES, *OF_DETECTORS)

    def to_json(self) -> dict[str, Any]:
        """Plain data; no offset and no softmax where there is none."""
        data = {"kind": self.kind, "stride": self.stride, **dataclasses.asdict(self.tensor)}
        return {**data, **({"offset": self.offset} if self.offset else {}), **({"softmax": True} if self.softmax else {})}


def unnamed_classes(count: int) -> tuple[str, ...]:
    """What classes are called whose names are not known: `class_0`, `class_1`, ..."""
    return tuple(f"class_{index}" for index in range(count))


@dataclass(frozen=True)
class Flatbuffer:
    """What the description belongs to."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class BoxesFile:
    """A detector's second file, which lies beside the first: its name and the checksum of its flatbuffer.

    `width` are the maps' channels, `candidates` the best anchors of a level that suppression looks at, `proposals` the boxes that
    the second file takes.
    """

    name: str
    sha256: str
    width: int
    candidates: int
    proposals: int

    def __post_init__(self) -> None:
        if Path(self.name).name != self.name or self.name in ("", ".."):
            raise HRNetError(f"a detector's second file lies beside the first, got {self.name!r}")


@dataclass(frozen=True)
class ModelDescription:
    """All that evaluating a model needs to know about it, and where it came from.

    `network` holds "architecture", "spec" (for this package's own readers) and, of an HRNet, "width", "stages",
    "outputs", "live_branches", "links" (kept), "removed_links" and "removed_blocks" by name; networks without fusion
    links leave these out. `category` are the joints or landmarks (none of a model of classes), `classes` the names of the classes
    in the order of their indices (none of a model of keypoints).
    `importance` maps links of the full network to a number (higher is needed more).
    `outputs` are the output tensors in the file's order. `flatbuffer` is filled in when the description is embedded, and None
    where another tool wrote the file anew. `boxes` is there in both files of a detector.
    """

    name: str
    precision: str
    input: ModelInput
    output: ModelOutput
    category: KeypointCategory
    network: dict[str, Any]
    parameters: int
    multiply_adds: int
    importance: dict[str, float] | None = None
    source: dict[str, Any] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    license: str = ""
    task: str = "pose"
    classes: tuple[str, ...] = ()
    outputs: tuple[OutputTensor, ...] = ()
    flatbuffer: Flatbuffer | None = None
    boxes: BoxesFile | None = None

    def __post_init__(self) -> None:
        if self.output.is_of_classes != bool(self.classes):
            raise HRNetError(
                f"{self.name} gives out {self.output.kind} and names {len(self.classes)} classes: these do not go together"
            )
        if self.precision not in PRECISIONS:
            raise HRNetError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")

    def to_json(self) -> dict[str, Any]:
        """Plain data, as it is stored."""
        data = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        data["input"], data["output"] = self.input.to_json(), self.output.to_json()
        data["outputs"] = [tensor.to_json() for tensor in self.outputs]
        data["category"], data["classes"] = self.category.to_json(), list(self.classes)
        data["flatbuffer"] = dataclasses.asdict(self.flatbuffer) if self.flatbuffer else None
        boxes = data.pop("boxes")
        return {"format_version": FORMAT_VERSION, **data, **({"boxes": dataclasses.asdict(boxes)} if boxes else {})}

    @property
    def answers(self) -> tuple[str, ...]:
        """The names of what it finds, one a channel: joints, landmarks or classes."""
        return self.classes or self.category.joints

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ModelDescription:
        """The description that `to_json` wrote; HRNetError where an entry is missing or of another version."""
        if not isinstance(data, dict) or data.get("format_version") != FORMAT_VERSION:
            version = data.get("format_version") if isinstance(data, dict) else None
            raise HRNetError(f"the model's description has format version {brief(version)}, expected {FORMAT_VERSION}")
        where = "the model's description"
        parts = StoredParts.from_json(data, where)
        fields = {
            **data,
            "input": {**parts.input, "tensor": parts.input},
            "output": {**parts.output, "tensor": parts.output},
            "category": KeypointCategory.from_json(data["category"]),  # parts.category has been checked
        }
        description: ModelDescription = checked(fields, cls, where, extra=True)
        return description


def description_path(path: Path | str) -> Path:
    """Where the copy of the description lies: `M.json` beside `M.tflite`."""
    return Path(path).with_suffix(".json")


def names_member(description: ModelDescription) -> str:
    """The member of the zip that holds the names of what the model finds."""
    return CLASSES_MEMBER if description.classes else JOINTS_MEMBER


def save_model_file(path: Path | str, flatbuffer: bytes, description: ModelDescription) -> ModelDescription:
    """Write the description beside `path`, then `flatbuffer` with the description inside to `path`: where that is, all is.

    Returns the description as stored, with the flatbuffer's length and checksum.
    """
    if flatbuffer[4:8] != FLATBUFFER_IDENTIFIER:
        raise HRNetError(f"cannot write {path}: the model is not a TFLite flatbuffer (no {FLATBUFFER_IDENTIFIER!r} at byte 4)")
    stored = dataclasses.replace(description, flatbuffer=Flatbuffer(len(flatbuffer), sha256(flatbuffer)))
    buffer = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(buffer, "a") as tail:
        names = "".join(f"{name}\n" for name in description.answers)
        for name, content in ((MEMBER, json.dumps(stored.to_json(), indent=1)), (names_member(description), names)):
            member = zipfile.ZipInfo(name)  # a fixed date: the same model gives the same bytes
            member.compress_type = zipfile.ZIP_STORED
            tail.writestr(member, content)
    write_json(description_path(path), stored.to_json())
    write_bytes(path, buffer.getvalue())
    return stored


def embed_description(path: Path | str, description: ModelDescription) -> ModelDescription:
    """Put `description` into the `.tflite` at `path` (in place of one that is there), and beside it."""
    data = read_bytes(path, "model")
    check_is_tflite(path, data)
    known = _embedded(path, data)
    if known is not None and known.flatbuffer is not None:
        data = data[: known.flatbuffer.size_bytes]
    return save_model_file(path, data, description)


def read_description(path: Path | str) -> ModelDescription:
    """The description inside a `.tflite`, or where another tool dropped it, the one beside it.

    Raises HRNetError for a file that is truncated, damaged or of another origin.
    """
    data = read_bytes(path, "model")
    description = _known(path, data)
    if description is None:
        raise HRNetError(f"model {path} {why_none(path, data) or NOT_OF_THIS_PACKAGE}")
    return description


def is_described(path: Path | str) -> bool:
    """Whether the `.tflite` has a description, inside or beside it; HRNetError where it is damaged."""
    return _known(path, read_bytes(path, "model")) is not None


def _known(path: Path | str, data: bytes) -> ModelDescription | None:
    """The description of the model at `path`, whose bytes are `data`; None where it has none."""
    check_is_tflite(path, data)
    description = _embedded(path, data)
    if description is not None:
        _check_flatbuffer(path, data, description)
        return description
    beside = description_beside(path)
    return _rewritten(path, data, *beside) if beside else None


def _rewritten(path: Path | str, data: bytes, place: Path, content: dict[str, Any]) -> ModelDescription:
    """The description at `place` as that of a file without one: without a checksum, unless it is the flatbuffer's as it was."""
    try:
        description = ModelDescription.from_json(content)
    except HRNetError as error:
        raise HRNetError(f"{place}, which lies beside model {path}: {error}") from error
    known = description.flatbuffer
    if known is not None and sha256(data[: known.size_bytes]) == known.sha256:
        return description
    check_whole(path, data)
    return dataclasses.replace(description, flatbuffer=None)


def files_of(path: Path | str) -> list[Path]:
    """The file itself, and of a detector's first file the second too. HRNetError where that is not there."""
    path = Path(path)
    boxes = read_description(path).boxes if is_described(path) else None
    if boxes is None or boxes.name == path.name:
        return [path]
    second = path.parent / boxes.name
    if not second.is_file():
        raise HRNetError(f"{path} needs its second file, {second}, which is not there: copy both")
    return [path, second]


def _check_flatbuffer(path: Path | str, data: bytes, description: ModelDescription) -> None:
    if description.flatbuffer is None:
        raise HRNetError(f"model {path} does not say what it should be (no flatbuffer checksum): {REMEDY}")
    stored = data[: description.flatbuffer.size_bytes]
    if sha256(stored) != description.flatbuffer.sha256:
        raise HRNetError(f"model {path} is damaged (its checksum differs from the recorded one); copy it again or {REMEDY}")


def check_is_tflite(path: Path | str, data: bytes) -> None:
    """Refuse what is no TFLite flatbuffer; runtimes may crash on it."""
    if data[4:8] != FLATBUFFER_IDENTIFIER:
        what = "is empty" if not data else "is not a TFLite model"
        raise HRNetError(f"{path} {what} (expected {FLATBUFFER_IDENTIFIER.decode()!r} at byte 4)")


def _embedded(path: Path | str, data: bytes) -> ModelDescription | None:
    """The description in the zip at the end of `data`; None where there is no such zip. HRNetError names the file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as tail, tail.open(MEMBER) as member:
            text = member.read(LARGEST_DESCRIPTION + 1)  # a few bytes can be made to unpack to more than memory holds
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, NotImplementedError, EOFError, RuntimeError, struct.error):
        return None  # what zipfile raises for ends that are none, or damaged
    try:
        if len(text) > LARGEST_DESCRIPTION:
            raise HRNetError(f"its description has more than {LARGEST_DESCRIPTION} bytes")
        return ModelDescription.from_json(parse_json(text, "its description"))
    except HRNetError as error:
        raise HRNetError(f"model {path}: {error}; {REMEDY}") from error
