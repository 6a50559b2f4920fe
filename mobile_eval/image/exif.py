"""EXIF orientation: reading it from image files, and turning pixels by it.

Cameras store an image as the sensor was held, and record in EXIF how to turn it. opencv's handling differs between its versions
and file formats. So the orientation is read and applied here: a file gives the same pixels everywhere, upright or as stored.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

import numpy as np

from mobile_eval.image.geometry import Image
from mobile_eval.typed import Size

AS_STORED, SIDEWAYS = 1, (5, 6, 7, 8)  # orientations: not turned; height and width exchanged
ORIENTATION_TAG = 0x0112
INTEGER_TYPES = {1: "B", 3: "H", 4: "I"}  # TIFF types of integers
EXIF_PREFIX = b"Exif\x00\x00"
APP1, START_OF_SCAN, END_OF_IMAGE = 0xE1, 0xDA, 0xD9  # JPEG markers
JPEG, PNG, RIFF, WEBP, TIFF = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF", b"WEBP", (b"II*\x00", b"MM\x00*")
HEADER_BYTES = 12
MAX_EXIF_BYTES = 2**16  # a JPEG segment holds no more
# How stored pixels become upright: exchange rows and columns, then reverse the rows, then the columns.
TURNS = {
    1: (False, False, False), 2: (False, False, True), 3: (False, True, True), 4: (False, True, False),
    5: (True, False, False), 6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip
INVERSE = {**{orientation: orientation for orientation in TURNS}, 6: 8, 8: 6}


def read_orientation(file: BinaryIO) -> int:
    """Read the EXIF orientation of a JPEG, PNG, WebP or TIFF file.

    Args:
        file: The file, at its beginning. No more is read than what precedes the pixels, except in WebP, where EXIF follows them.

    Returns:
        The orientation, 1 to 8 (EXIF 2.3, tag 0x0112); 1 where the file has none or a damaged one.
    """
    header = file.read(HEADER_BYTES)
    try:
        if header.startswith(JPEG):
            block = _exif_of_jpeg(file)
        elif header.startswith(PNG):
            block = _exif_of_png(file)
        elif header.startswith(RIFF) and header.endswith(WEBP):
            block = _exif_of_webp(file)
        elif header.startswith(TIFF):
            return _orientation_of_tiff(file)
        else:
            return AS_STORED
        return _orientation_of_tiff(io.BytesIO(block.removeprefix(EXIF_PREFIX)))
    except struct.error:  # the file ends early
        return AS_STORED


def apply_orientation(image: Image, orientation: int) -> Image:
    """Turn a stored image (H, W, ...) upright; a sideways one becomes (W, H, ...)."""
    exchanged, rows, columns = TURNS[orientation]
    image = image.swapaxes(0, 1) if exchanged else image
    return np.ascontiguousarray(image[:: -1 if rows else 1, :: -1 if columns else 1])


def upright_size(size: Size, orientation: int) -> Size:
    """Return the (height, width) that a stored image has when it is turned upright."""
    return (size[1], size[0]) if orientation in SIDEWAYS else size


def orient_decoded(image: Image, data: bytes, *, upright: bool) -> Image:
    """Turn pixels that opencv decoded with IMREAD_IGNORE_ORIENTATION.

    Args:
        image: The decoded pixels (H, W, 3).
        data: Content of the image file.
        upright: Return the upright image, or else the stored one.
    """
    orientation = read_orientation(io.BytesIO(data))
    if data.startswith(TIFF):  # opencv turns TIFF files all the same
        return image if upright else apply_orientation(image, INVERSE[orientation])
    return apply_orientation(image, orientation) if upright else image


def _exif_of_jpeg(file: BinaryIO) -> bytes:
    """Return the first EXIF segment before the pixels, or nothing."""
    file.seek(len(JPEG))
    while True:
        prefix, marker = struct.unpack(">BB", file.read(2))
        while marker == 0xFF:  # fill bytes
            [marker] = struct.unpack(">B", file.read(1))
        if prefix != 0xFF or marker in (START_OF_SCAN, END_OF_IMAGE):
            return b""
        [length] = struct.unpack(">H", file.read(2))
        if marker == APP1:
            body = file.read(length - 2)
            if body.startswith(EXIF_PREFIX):
                return body
        else:
            file.seek(length - 2, io.SEEK_CUR)


def _exif_of_png(file: BinaryIO) -> bytes:
    file.seek(len(PNG))
    while True:
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"eXIf":
            return file.read(min(length, MAX_EXIF_BYTES))
        if kind in (b"IDAT", b"IEND"):
            return b""
        file.seek(length + 4, io.SEEK_CUR)


def _exif_of_webp(file: BinaryIO) -> bytes:
    while True:
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind == b"EXIF":
            return file.read(min(length, MAX_EXIF_BYTES))
        file.seek(length + length % 2, io.SEEK_CUR)


def _orientation_of_tiff(file: BinaryIO) -> int:
    """Read the orientation in the first directory of a TIFF structure; EXIF is one."""
    file.seek(0)
    order = {b"II": "<", b"MM": ">"}.get(file.read(2))
    if order is None:
        return AS_STORED
    _, directory = struct.unpack(f"{order}HI", file.read(6))
    file.seek(directory)
    [count] = struct.unpack(f"{order}H", file.read(2))
    for _ in range(count):
        tag, kind, _, value = struct.unpack(f"{order}HHI4s", file.read(12))
        if tag == ORIENTATION_TAG and kind in INTEGER_TYPES:
            [orientation] = struct.unpack_from(f"{order}{INTEGER_TYPES[kind]}", value)
            return orientation if orientation in TURNS else AS_STORED
    return AS_STORED
