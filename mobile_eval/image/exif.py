"""The orientation that an image file says its pixels are to be shown in, and turning pixels by it.

Cameras store an image as the sensor lay, and say in EXIF how to turn it. It is read and done here, and not by opencv, of which
versions and formats differ: so that the same file is the same pixels everywhere, and either way can be had.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

AS_STORED, SIDEWAYS = 1, (5, 6, 7, 8)  # orientations: nothing to do, and those that exchange height and width
ORIENTATION_TAG = 0x0112
INTEGERS = {1: "B", 3: "H", 4: "I"}  # TIFF's types of one number
BEFORE_TIFF = b"Exif\x00\x00"
APP1, START_OF_SCAN, END_OF_IMAGE = 0xE1, 0xDA, 0xD9
JPEG, PNG, RIFF, WEBP, TIFFS = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF", b"WEBP", (b"II*\x00", b"MM\x00*")
HEAD = 12
LARGEST_BLOCK = 2**16  # bytes of EXIF: a JPEG's segment holds no more
# How pixels of each orientation are shown: rows and columns exchanged first, then the rows and the columns reversed.
TURNS = {
    1: (False, False, False), 2: (False, False, True), 3: (False, True, True), 4: (False, True, False),
    5: (True, False, False), 6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip
BACK = {**{orientation: orientation for orientation in TURNS}, 6: 8, 8: 6}  # what undoes each


def orientation(file: BinaryIO) -> int:
    """1 to 8 as EXIF counts, of a JPEG, PNG, WebP or TIFF file that is read from its beginning; 1 where it says nothing else.

    Only as much is read as lies before the pixels, which in WebP is what comes behind them too.
    """
    head = file.read(HEAD)
    try:
        if head.startswith(JPEG):
            block = _in_jpeg(file)
        elif head.startswith(PNG):
            block = _in_png(file)
        elif head.startswith(RIFF) and head.endswith(WEBP):
            block = _in_webp(file)
        elif head.startswith(TIFFS):
            return _in_tiff(file)
        else:
            return AS_STORED
        return _in_tiff(io.BytesIO(block.removeprefix(BEFORE_TIFF)))
    except struct.error:  # the file ends before it says
        return AS_STORED


def turned(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """The image (H, W, ...) as it is to be shown; sideways (W, H, ...)."""
    exchanged, rows, columns = TURNS[orientation]
    image = image.swapaxes(0, 1) if exchanged else image
    return np.ascontiguousarray(image[:: -1 if rows else 1, :: -1 if columns else 1])


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(height, width) of a stored image when it is turned."""
    return (size[1], size[0]) if orientation in SIDEWAYS else size


def oriented(image: NDArray[np.uint8], data: bytes, *, upright: bool) -> NDArray[np.uint8]:
    """The pixels (H, W, 3) that opencv made of an image file's content `data`, told not to turn them: upright, or as stored."""
    said = orientation(io.BytesIO(data))
    if data.startswith(TIFFS):  # which opencv turns, whatever it is told
        return image if upright else turned(image, BACK[said])
    return turned(image, said) if upright else image


def _in_jpeg(file: BinaryIO) -> bytes:
    """What the first segment with EXIF holds, if one comes before the pixels."""
    file.seek(len(JPEG))
    while True:
        mark, marker = struct.unpack(">BB", file.read(2))
        while marker == 0xFF:  # filling
            [marker] = struct.unpack(">B", file.read(1))
        if mark != 0xFF or marker in (START_OF_SCAN, END_OF_IMAGE):
            return b""
        [length] = struct.unpack(">H", file.read(2))
        if marker == APP1:
            body = file.read(length - 2)
            if body.startswith(BEFORE_TIFF):
                return body
        else:
            file.seek(length - 2, io.SEEK_CUR)


def _in_png(file: BinaryIO) -> bytes:
    file.seek(len(PNG))
    while True:
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"eXIf":
            return file.read(min(length, LARGEST_BLOCK))
        if kind in (b"IDAT", b"IEND"):
            return b""
        file.seek(length + 4, io.SEEK_CUR)


def _in_webp(file: BinaryIO) -> bytes:
    while True:
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind == b"EXIF":
            return file.read(min(length, LARGEST_BLOCK))
        file.seek(length + length % 2, io.SEEK_CUR)


def _in_tiff(file: BinaryIO) -> int:
    """The orientation that the first directory of a TIFF structure, which EXIF is, names."""
    file.seek(0)
    order = {b"II": "<", b"MM": ">"}.get(file.read(2))
    if order is None:
        return AS_STORED
    _, directory = struct.unpack(f"{order}HI", file.read(6))
    file.seek(directory)
    [count] = struct.unpack(f"{order}H", file.read(2))
    for _ in range(count):
        tag, kind, _, value = struct.unpack(f"{order}HHI4s", file.read(12))
        if tag == ORIENTATION_TAG and kind in INTEGERS:
            [number] = struct.unpack_from(f"{order}{INTEGERS[kind]}", value)
            return number if number in TURNS else AS_STORED
    return AS_STORED
