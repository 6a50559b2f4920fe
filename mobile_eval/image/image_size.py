"""Size of an image from the header of its file, and the limit on it; nothing is decoded.

A PNG file of a megabyte may hold 900 million pixels. As decoded RGB these are more than opencv can warp, or than memory holds.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.image import png
from mobile_eval.typed import Size

MAX_PIXELS = 100_000_000  # by default
MAX_WARPED_PIXELS = (2**31 - 1) // 3  # opencv's warps count the bytes of RGB images in 32 bits, and crash above
MAX_SIDE = 2**15 - 2  # opencv's warps hold coordinates in 16 bits
FORMATS = "JPEG, PNG, BMP, WebP, TIFF, GIF or PPM"  # GIF since opencv 4.12
HEADER_BYTES = 65536  # most files have their size within these

JPEG, SEGMENT = b"\xff\xd8\xff", re.compile(rb"\xff+([^\x00\x01\xff\xd0-\xd8])")  # markers that a body follows
FRAME_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
END_OF_IMAGE = 0xD9
PPM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s")
TIFF_WIDTH, TIFF_HEIGHT = 256, 257  # tags
TIFF_INTEGERS = {3: "H", 4: "I"}  # types of sizes: SHORT and LONG

_max_pixels = MAX_PIXELS


def max_pixels() -> int:
    """Return the largest number of pixels that an image or mask may have."""
    return _max_pixels


def set_max_pixels(pixels: int | None) -> None:
    """Set the largest number of pixels of images and masks, for the whole process; None leaves it as it is.

    There is one limit for the process, as in Pillow, since images are read everywhere.
    """
    if pixels is None:
        return
    if not 1 <= pixels <= MAX_WARPED_PIXELS:
        raise HRNetError(f"`max_pixels` must be from 1 to {MAX_WARPED_PIXELS:,}, got {pixels:,}")
    global _max_pixels
    _max_pixels = pixels


def check_size(size: Size, name: str) -> None:
    """Raise HRNetError for an image that is larger than `max_pixels`, or than opencv can warp.

    Args:
        size: Height and width in pixels.
        name: What messages call the image, such as "image cat.jpg".
    """
    height, width = size
    actual = f"{name} is {height}x{width} (height x width)"
    if height * width > max_pixels():
        remedy = "scale it down" if height * width > MAX_WARPED_PIXELS else "scale it down, or raise `max_pixels`"
        raise HRNetError(f"{actual}, {height * width:,} pixels where `max_pixels` is {max_pixels():,}: {remedy}")
    if max(size) > MAX_SIDE:
        raise HRNetError(f"{actual}, and opencv warps no side over {MAX_SIDE:,} pixels: scale it down")


def stored_size(path: Path) -> Size:
    """Return the (height, width) of an image file as it is stored, before EXIF turns it."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError as error:
        raise HRNetError(f"cannot read image {path}: {error.strerror}") from error
    size = header_size(header) or header_size(read_bytes(path, "image"))
    if size is None:
        raise HRNetError(f"image {path} is damaged, or of another format than {FORMATS}; copy or convert it again")
    return size


def header_size(data: bytes) -> Size | None:
    """Return the (height, width) in the header of an image file, or None if it has no complete header.

    Args:
        data: The file's content, or its beginning.
    """
    for signature, parse in PARSERS.items():
        if data.startswith(signature):
            try:
                size = parse(data)
            except struct.error:  # the data end within the header
                return None
            return size if size and min(size) > 0 else None
    return None


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the marker and the position of the body of each segment of a JPEG, up to its end-of-image marker if it has one.

    The bodies are skipped: thumbnails in them have markers of their own.
    """
    position = len(JPEG) - 1
    while match := SEGMENT.search(data, position):
        marker, body = match[1][0], match.end()
        yield marker, body
        if marker == END_OF_IMAGE:
            return
        position = body + (int.from_bytes(data[body : body + 2], "big") if body + 2 <= len(data) else len(data))


def jpeg_is_complete(data: bytes) -> bool:
    """Whether a JPEG has its end-of-image marker; other data may follow, such as the video of a motion photo."""
    return data.endswith(bytes([0xFF, END_OF_IMAGE])) or any(marker == END_OF_IMAGE for marker, _ in jpeg_segments(data))


def _jpeg(data: bytes) -> Size | None:
    for marker, body in jpeg_segments(data):
        if marker in FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", data, body + 3)
            return height, width
    return None


def _png(data: bytes) -> Size:
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _bmp(data: bytes) -> Size:
    [header] = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)  # 12: OS/2
    return abs(height), width


def _gif(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return height, width


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if data[8:12] != b"WEBP":
        return None
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[position : position + 3], "little") + 1 for position in (24, 27))
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
    sizes = {}
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        if tag in (TIFF_WIDTH, TIFF_HEIGHT) and kind in TIFF_INTEGERS:
            [sizes[tag]] = struct.unpack_from(f"{order}{TIFF_INTEGERS[kind]}", data, entry + 8)
    return (sizes[TIFF_HEIGHT], sizes[TIFF_WIDTH]) if len(sizes) == 2 else None


PARSERS: dict[bytes, Callable[[bytes], Size | None]] = {
    JPEG: _jpeg,
    png.SIGNATURE: _png,
    b"BM": _bmp,
    b"GIF8": _gif,
    b"RIFF": _webp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    **{f"P{kind}".encode(): _ppm for kind in range(1, 7)},
}
