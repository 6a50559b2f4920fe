"""The size of an image as it is stored, from the header of its file: nothing is decoded."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.image import png

HEAD = 65536  # bytes in which most files say their size
FORMATS = "JPEG, PNG, BMP, WebP, TIFF, GIF or PPM"  # GIF since opencv 4.12
Size = tuple[int, int]

JPEG, SEGMENT = b"\xff\xd8\xff", re.compile(rb"\xff+([^\x00\x01\xff\xd0-\xd8])")  # a marker that is followed by something
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of JPEG's frame headers
END_OF_IMAGE = 0xD9
PPM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s")
TIFF_WIDTH, TIFF_HEIGHT = 256, 257
TIFF_NUMBERS = {3: "H", 4: "I"}  # types of entries that sizes have: SHORT and LONG


def stored_size(path: Path) -> Size:
    """(height, width) of an image file, not turned upright."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise HRNetError(f"cannot read image {path}: {error.strerror}") from error
    size = header_size(head) or header_size(read_bytes(path, "image"))
    if size is None:
        raise HRNetError(f"image {path} is damaged, or of another format than {FORMATS}; copy or convert it again")
    return size


def header_size(data: bytes) -> Size | None:
    """(height, width) as the header of an image file says it; None where there is none, or not all of it."""
    for begins, read in READERS.items():
        if data.startswith(begins):
            try:
                size = read(data)
            except struct.error:  # the data end within the header
                return None
            return size if size and min(size) > 0 else None
    return None


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of the body of each segment of a JPEG; the last one is that of its end, unless the data end before.

    The compressed pixels lie between segments, and markers of other images in the bodies of segments (thumbnails).
    """
    place = len(JPEG) - 1
    while match := SEGMENT.search(data, place):
        marker, body = match[1][0], match.end()
        yield marker, body
        if marker == END_OF_IMAGE:
            return
        place = body + (int.from_bytes(data[body : body + 2], "big") if body + 2 <= len(data) else len(data))


def jpeg_ends(data: bytes) -> bool:
    """Whether all of a JPEG is there; more may follow it, as the video of a motion photo does."""
    return data.endswith(bytes([0xFF, END_OF_IMAGE])) or any(marker == END_OF_IMAGE for marker, _ in jpeg_segments(data))


def _jpeg(data: bytes) -> Size | None:
    for marker, body in jpeg_segments(data):
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", data, body + 3)
            return height, width
    return None


def _png(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _bmp(data: bytes) -> Size:
    [header] = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)  # 12: OS/2's
    return abs(height), width


def _gif(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return height, width


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if data[8:12] != b"WEBP":
        return None
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[place : place + 3], "little") + 1 for place in (24, 27))
        return (height, width) if len(data) >= 30 else None
    if kind == b"VP8L":
        [bits] = struct.unpack_from("<I", data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return (height & 0x3FFF, width & 0x3FFF) if kind == b"VP8 " else None


def _ppm(data: bytes) -> Size | None:
    match = PPM.match(data)
    return (int(match[2]), int(match[1])) if match else None


def _tiff(data: bytes) -> Size | None:
    order = "<" if data.startswith(b"II") else ">"
    [directory] = struct.unpack_from(f"{order}I", data, 4)
    [count] = struct.unpack_from(f"{order}H", data, directory)
    numbers = {}
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        if tag in (TIFF_WIDTH, TIFF_HEIGHT) and kind in TIFF_NUMBERS:
            [numbers[tag]] = struct.unpack_from(f"{order}{TIFF_NUMBERS[kind]}", data, entry + 8)
    return (numbers[TIFF_HEIGHT], numbers[TIFF_WIDTH]) if len(numbers) == len((TIFF_WIDTH, TIFF_HEIGHT)) else None


READERS: dict[bytes, Callable[[bytes], Size | None]] = {
    JPEG: _jpeg,
    png.SIGNATURE: _png,
    b"BM": _bmp,
    b"GIF8": _gif,
    b"RIFF": _webp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    **{f"P{kind}".encode(): _ppm for kind in range(1, 7)},
}
