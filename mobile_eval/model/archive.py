"""Store a model's description in its `.tflite` file, and read it back.

The description is JSON, in a zip appended to the flatbuffer as member `model.json`. Runtimes read the flatbuffer and ignore what
follows; `unzip -p M.tflite model.json` shows it, and `M.json` beside the model is a copy. The zip also has `keypoints.txt` or
`labels.txt`, the names that readers of TFLite metadata look for; they cannot read compressed members, so none is compressed. The
description records the flatbuffer's length and checksum.

Compilers and converters (Google's for the Edge TPU, Arm's Vela, tools that write metadata) drop the zip. The description is then
read from `M.json` beside `M.tflite`. For `X_edgetpu.tflite` and `X_vela.tflite`, `X.json` is read too: they may be
compiled in the folder of `X.tflite`.
"""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, TypeAlias

from mobile_eval.errors import HRNetError
from mobile_eval.files import parse_json, read_bytes, read_json, sha256, write_bytes, write_json
from mobile_eval.model.description import Flatbuffer, ModelDescription
from mobile_eval.typed import JsonObject

Schema: TypeAlias = Any  # the module `ai_edge_litert.schema_py_generated`, which has no type hints
SchemaObject: TypeAlias = Any  # an object of its classes, such as `ModelT` or `TensorT`

MEMBER = "model.json"
JOINTS_MEMBER, CLASSES_MEMBER = "keypoints.txt", "labels.txt"
FLATBUFFER_IDENTIFIER = b"TFL3"
MAX_DESCRIPTION = 2**26  # bytes
REMEDY = "convert it again with `hrnet convert`"
NO_DESCRIPTION = f"has no description at its end: it is truncated, or another package wrote it; {REMEDY}"

# Compilers for accelerators replace operators by a custom one, and add an ending to the file's name.
EDGETPU_OPERATOR, ETHOSU_OPERATOR, DISPATCH_OPERATOR = "edgetpu-custom-op", "ethos-u", "DISPATCH_OP"
ACCELERATORS = {EDGETPU_OPERATOR: "the Edge TPU", ETHOSU_OPERATOR: "an Ethos-U", DISPATCH_OPERATOR: "an NPU by LiteRT"}
COMPILED_ENDINGS = ("_edgetpu", "_vela")

ZIP_ERRORS = (  # raised by zipfile where the end of the file is no zip, or a damaged one
    zipfile.BadZipFile, zlib.error, KeyError, ValueError, NotImplementedError, EOFError, RuntimeError, struct.error
)  # fmt: skip
FLATBUFFER_ERRORS = (  # raised by flatbuffers and by the generated schema for offsets outside of the data, or of another type
    struct.error, IndexError, TypeError, ValueError, AttributeError, OverflowError, MemoryError, RecursionError
)  # fmt: skip


def description_path(path: Path | str) -> Path:
    """The path of the description's copy: `M.json` beside `M.tflite`."""
    return Path(path).with_suffix(".json")


def labels_member(description: ModelDescription) -> str:
    """The name of the zip's member that lists the labels, one per line."""
    return CLASSES_MEMBER if description.classes else JOINTS_MEMBER


def save_model_file(path: Path | str, flatbuffer: bytes, description: ModelDescription) -> ModelDescription:
    """Write a model with its description, and a copy of the description beside it.

    The copy is written first: if `path` exists, both are complete.

    Args:
        path: The `.tflite` to write.
        flatbuffer: The converted model.
        description: Its description.

    Returns:
        The description as stored, with the flatbuffer's length and checksum.

    Raises:
        HRNetError: `flatbuffer` is not a TFLite model, or a file cannot be written.
    """
    if flatbuffer[4:8] != FLATBUFFER_IDENTIFIER:
        raise HRNetError(f"cannot write {path}: the model is not a TFLite flatbuffer (no {FLATBUFFER_IDENTIFIER!r} at byte 4)")
    stored = dataclasses.replace(description, flatbuffer=Flatbuffer(len(flatbuffer), sha256(flatbuffer)))
    buffer = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(buffer, "a") as archive:
        members = {MEMBER: json.dumps(stored.to_json(), indent=1)}
        if description.label_names:
            members[labels_member(description)] = "".join(f"{name}\n" for name in description.label_names)
        for name, content in members.items():
            member = zipfile.ZipInfo(name)  # has a fixed date: the same model gives the same bytes
            member.compress_type = zipfile.ZIP_STORED
            archive.writestr(member, content)
    write_json(description_path(path), stored.to_json())
    write_bytes(path, buffer.getvalue())
    return stored


def embed_description(path: Path | str, description: ModelDescription) -> ModelDescription:
    """Store `description` in the `.tflite` at `path` and beside it, replacing an earlier one.

    Returns:
        The description as stored, with the flatbuffer's length and checksum.
    """
    data = read_bytes(path, "model")
    check_is_tflite(path, data)
    earlier = _embedded(path, data)
    if earlier is not None and earlier.flatbuffer is not None:
        data = data[: earlier.flatbuffer.size_bytes]
    return save_model_file(path, data, description)


def read_description(path: Path | str) -> ModelDescription:
    """Read the description in a `.tflite`, or beside it where another tool dropped it.

    Raises:
        HRNetError: The file is truncated, damaged or has no description.
    """
    data = read_bytes(path, "model")
    description = _find_description(path, data)
    if description is None:
        raise HRNetError(f"model {path} {_compiled_without_description(path, data) or NO_DESCRIPTION}")
    return description


def is_described(path: Path | str) -> bool:
    """Whether a `.tflite` has a description, inside or beside it.

    Raises:
        HRNetError: The file or its description is damaged.
    """
    return _find_description(path, read_bytes(path, "model")) is not None


def files_of(path: Path | str) -> list[Path]:
    """The files of a model: `path`, and for the first file of a detector also the second.

    Raises:
        HRNetError: The second file is missing.
    """
    path = Path(path)
    boxes = read_description(path).boxes if is_described(path) else None
    if boxes is None or boxes.name == path.name:
        return [path]
    second = path.parent / boxes.name
    if not second.is_file():
        raise HRNetError(f"{path} needs its second file, {second}, which does not exist: copy both")
    return [path, second]


def check_is_tflite(path: Path | str, data: bytes) -> None:
    """Refuse a file that is not a TFLite flatbuffer; runtimes may crash on it.

    Args:
        path: Its path, for the message.
        data: Its first 8 bytes or more.
    """
    if data[4:8] != FLATBUFFER_IDENTIFIER:
        reason = "is empty" if not data else "is not a TFLite model"
        raise HRNetError(f"{path} {reason} (expected {FLATBUFFER_IDENTIFIER.decode()!r} at byte 4)")


def check_not_compiled(path: Path | str) -> None:
    """Refuse a file that was already compiled for an accelerator."""
    accelerator = _accelerator(read_bytes(path, "model"))
    if accelerator:
        raise HRNetError(f"{path} was already compiled for {accelerator}: give the int8 file that it was compiled from")


def unpack(schema: Schema, data: bytes) -> SchemaObject | None:
    """Unpack a flatbuffer with the generated `schema`; None where it is truncated or damaged."""
    try:
        return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    except FLATBUFFER_ERRORS:
        return None


def _find_description(path: Path | str, data: bytes) -> ModelDescription | None:
    """The description of the model at `path`, whose bytes are `data`; None where it has none."""
    check_is_tflite(path, data)
    description = _embedded(path, data)
    if description is not None:
        _check_flatbuffer(path, data, description)
        return description
    return _beside(path, data)


def _embedded(path: Path | str, data: bytes) -> ModelDescription | None:
    """The description in the zip at the end of `data`; None where there is no zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(MEMBER) as member:
            text = member.read(MAX_DESCRIPTION + 1)  # a few compressed bytes could unpack to more than the memory holds
    except ZIP_ERRORS:
        return None
    try:
        if len(text) > MAX_DESCRIPTION:
            raise HRNetError(f"its description has more than {MAX_DESCRIPTION} bytes")
        return ModelDescription.from_json(parse_json(text, "its description"))
    except HRNetError as error:
        raise HRNetError(f"model {path}: {error}; {REMEDY}") from error


def _check_flatbuffer(path: Path | str, data: bytes, description: ModelDescription) -> None:
    """Refuse a flatbuffer that is not the one its description was made for."""
    if description.flatbuffer is None:
        raise HRNetError(f"model {path}: the description has no checksum of the flatbuffer; {REMEDY}")
    if sha256(data[: description.flatbuffer.size_bytes]) != description.flatbuffer.sha256:
        raise HRNetError(f"model {path} is damaged (its checksum differs from the recorded one); copy it again or {REMEDY}")


def _beside(path: Path | str, data: bytes) -> ModelDescription | None:
    """The description beside a model that has none at its end; None where there is none.

    Its `flatbuffer` is None unless the flatbuffer is unchanged.
    """
    for place in _places_beside(Path(path)):
        content = _read_beside(place)
        if content is None:
            continue
        try:
            description = ModelDescription.from_json(content)
        except HRNetError as error:
            raise HRNetError(f"{place}, the description of model {path}: {error}") from error
        original = description.flatbuffer
        if original is not None and sha256(data[: original.size_bytes]) == original.sha256:
            return description
        _check_complete(path, data)
        return dataclasses.replace(description, flatbuffer=None)
    return None


def _places_beside(path: Path) -> list[Path]:
    """Paths at which the description of the model at `path` may be, the best first."""
    stems = [path.stem, *(path.stem.removesuffix(ending) for ending in COMPILED_ENDINGS if path.stem.endswith(ending))]
    return [path.with_name(f"{stem}.json") for stem in stems]


def _read_beside(place: Path) -> JsonObject | None:
    """The content of a description; None for a file that is missing or is no description."""
    try:
        content = read_json(place, "description")
    except HRNetError:
        return None
    return content if isinstance(content, dict) and "format_version" in content else None


def _check_complete(path: Path | str, data: bytes) -> None:
    """Refuse a truncated flatbuffer whose checksum is not known.

    The graph is unpacked, which reads every part of it. Without the schema of ai-edge-litert nothing is checked here; the runtime
    has to notice.
    """
    try:
        import ai_edge_litert.schema_py_generated as schema
    except ImportError:
        return
    model = unpack(schema, data)
    if model is None or not (model.subgraphs and model.operatorCodes):
        raise HRNetError(
            f"model {path} is truncated or damaged: the description at its end is missing, and its graph cannot be read; "
            "copy it again"
        )


def _accelerator(data: bytes) -> str | None:
    """The accelerator that a `.tflite` was compiled for; None for none."""
    return next((name for operator, name in ACCELERATORS.items() if operator.encode() in data), None)


def _compiled_without_description(path: Path | str, data: bytes) -> str | None:
    """What to do about a compiled model without a description; None for a model that was not compiled."""
    accelerator = _accelerator(data)
    if accelerator is None:
        return None
    names = " or ".join(place.name for place in _places_beside(Path(path)))
    return f"was compiled for {accelerator} and has no description: copy {names} of the file that it was compiled from beside it"
