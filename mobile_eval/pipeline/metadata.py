"""TFLite metadata of files by other packages: names of the classes, and how images are normalized.

The metadata is a flatbuffer within the model (`metadata_schema.fbs` of TFLite Support), and its files are in a zip at the end.
"""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.files import read_bytes
from mobile_eval.model.archive import FLATBUFFER_ERRORS, ZIP_ERRORS

METADATA_NAME = "TFLITE_METADATA"
NO_NAMES = ("", "???", "background")  # first lines of label files that count the background, which the outputs do not
MAX_LABELS_BYTES = 2**20
# Slots of tables in metadata_schema.fbs, and of ModelT's metadata in schema.fbs.
MODEL_BUFFERS, MODEL_METADATA, METADATA_BUFFER, BUFFER_DATA = 4, 6, 1, 0
SUBGRAPHS, INPUTS, PROCESS_UNITS = 3, 2, 4
UNIT_TYPE, UNIT_OPTIONS, NORMALIZATION = 0, 1, 1


@dataclass(frozen=True)
class Normalization:
    """Input value = (byte - `mean`) / `std`, for RGB bytes from 0 to 255."""

    mean: tuple[float, ...] = (127.5,)
    std: tuple[float, ...] = (127.5,)


def read_labels(path: Path | str) -> tuple[str, ...]:
    """Read the names of the classes from the label file inside a `.tflite`.

    Args:
        path: The file.

    Returns:
        The names by label, without the line of the background; none if the file has no labels.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path, "model"))) as archive:
            names = [name for name in archive.namelist() if name.endswith(".txt") and "label" in name.lower()]
            if not names:
                return ()
            with archive.open(names[0]) as member:
                lines = member.read(MAX_LABELS_BYTES).decode("utf-8", "replace").splitlines()
    except ZIP_ERRORS:
        return ()
    labels = [line.strip() for line in lines]
    while labels and not labels[-1]:
        labels.pop()
    return tuple(labels[1:] if labels and labels[0].lower() in NO_NAMES else labels)


def read_normalization(path: Path | str) -> Normalization:
    """Read how the first input of a `.tflite` is normalized; without metadata, to -1 to 1, as detectors of TensorFlow are."""
    data = bytearray(read_bytes(path, "model"))
    try:
        metadata = _metadata(data)
        return Normalization() if metadata is None else _normalization(metadata) or Normalization()
    except (ImportError, *FLATBUFFER_ERRORS):
        return Normalization()


def _metadata(data: bytearray) -> bytearray | None:
    """The bytes of the metadata in the bytes of a model; None if there is none."""
    model = _Table(data, struct.unpack_from("<I", data)[0])
    for entry in model.tables(MODEL_METADATA):
        if entry.text(0) == METADATA_NAME:
            buffer = model.tables(MODEL_BUFFERS)[entry.number(METADATA_BUFFER)]
            return buffer.data(BUFFER_DATA)
    return None


def _normalization(metadata: bytearray) -> Normalization | None:
    root = _Table(metadata, struct.unpack_from("<I", metadata)[0])
    for unit in root.tables(SUBGRAPHS)[0].tables(INPUTS)[0].tables(PROCESS_UNITS):
        if unit.byte(UNIT_TYPE) == NORMALIZATION:
            options = unit.table(UNIT_OPTIONS)
            mean, std = options.floats(0), options.floats(1)
            if mean and std and min(std) > 0:
                return Normalization(mean, std)
    return None


class _Table:
    """A table of a flatbuffer, whose fields are read by slot."""

    def __init__(self, data: bytearray, position: int):
        from flatbuffers.table import Table

        self._table = Table(data, position)

    def _offset(self, slot: int) -> int:
        """Position of a field; 0 if it is absent."""
        offset = int(self._table.Offset(4 + 2 * slot))
        return self._table.Pos + offset if offset else 0

    def _vector(self, slot: int) -> tuple[int, int]:
        """Position and length of a vector."""
        offset = self._offset(slot)
        if not offset:
            return 0, 0
        start = int(offset + self._integer(offset))
        return start + 4, self._integer(start)

    def _integer(self, position: int) -> int:
        return int(struct.unpack_from("<I", self._table.Bytes, position)[0])

    def tables(self, slot: int) -> list[_Table]:
        """The tables of a vector."""
        start, length = self._vector(slot)
        places = range(start, start + 4 * length, 4)
        return [_Table(self._table.Bytes, place + self._integer(place)) for place in places]

    def table(self, slot: int) -> _Table:
        """The table of a field."""
        offset = self._offset(slot)
        return _Table(self._table.Bytes, offset + self._integer(offset))

    def text(self, slot: int) -> str:
        """A string."""
        return self.data(slot).decode("utf-8", "replace")

    def data(self, slot: int) -> bytearray:
        """A vector of bytes."""
        start, length = self._vector(slot)
        return bytearray(self._table.Bytes[start : start + length])

    def floats(self, slot: int) -> tuple[float, ...]:
        """A vector of floats."""
        start, length = self._vector(slot)
        return struct.unpack_from(f"<{length}f", self._table.Bytes, start) if length else ()

    def number(self, slot: int) -> int:
        """An unsigned integer of 32 bits."""
        offset = self._offset(slot)
        return self._integer(offset) if offset else 0

    def byte(self, slot: int) -> int:
        """An unsigned integer of 8 bits."""
        offset = self._offset(slot)
        return int(self._table.Bytes[offset]) if offset else 0
