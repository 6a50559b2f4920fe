"""The size of an image as it is stored, from the beginning of its file."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

from mobile_eval.files import read_bytes

HEAD = 65536  # bytes in which most files say their size
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of JPEG's frame headers
ALONE = {0x01, *range(0xD0, 0xD9)}  # markers that nothing belongs to


def stored_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file, not turned upright; of JPEG and PNG without decoding it."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise ValueError(f"cannot read image {path}: {error.strerror}") from error
    size = _size_in(head) or _size_in(data := read_bytes(path, "image"))
    if size is None:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        if image is None:
            raise ValueError(f"image {path} is damaged or of a format that opencv cannot read")
        size = image.shape[0], image.shape[1]
    return size


def _size_in(data: bytes) -> tuple[int, int] | None:
    """The size that the beginning of a JPEG or PNG file says; None where it does not."""
    if data.startswith(PNG) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    place = len(JPEG)
    while data.startswith(JPEG) and place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in FRAMES:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return (height, width) if height and width else None
        filler = marker == 0xFF
        place += 1 if filler else 2 if marker in ALONE else 2 + int(struct.unpack(">H", data[place + 2 : place + 4])[0])
    return None
