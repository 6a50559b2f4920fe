"""PNG files by their chunks: whether they are whole, without what libpng only complains of, and the indices of a palette."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator

from mobile_eval.errors import HRNetError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = (b"IHDR", b"IDAT", b"IEND")
CRITICAL = (*PIXELS, b"PLTE")
IN_COLOUR = (*CRITICAL, b"tRNS", b"eXIf")  # what decides how an image looks; broken colour profiles make libpng print warnings
DEPTH, COLOUR = 8, 9  # offsets in the body of IHDR
GREY, PALETTE = 0, 3  # types of colour
FRAME = 12  # bytes of a chunk besides its body: length, kind and CRC


class DamagedPngError(HRNetError):
    """Why a PNG file cannot be read."""


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk, up to IEND; what follows that belongs to no PNG.

    Raises DamagedPngError where the file ends before, or where a checksum says that a critical chunk was changed.
    """
    place, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", data[place : place + 8]) if place + FRAME <= len(data) else (0, b"")
        end = place + 8 + length
        body, checksum = data[place + 8 : end], data[end : end + 4]
        if not kind or len(checksum) < 4:
            raise DamagedPngError("it is truncated: it has no end chunk (IEND)")
        if kind in CRITICAL and struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))) != checksum:
            raise DamagedPngError(f"the checksum of its chunk {kind.decode('ascii')} is wrong")
        yield kind, body
        place = end + 4


def rewritten(data: bytes, kinds: Collection[bytes]) -> bytes:
    """The same file with its chunks of these kinds only; as it is, where it has no others."""
    parts = list(chunks(data))
    if all(kind in kinds for kind, _ in parts):
        return data
    return SIGNATURE + b"".join(_chunk(kind, body) for kind, body in parts if kind in kinds)


def with_indices(data: bytes) -> tuple[bytes, int]:
    """A file of one channel, or of a palette, as greys that stand for the samples that it stores; and how far greys are apart.

    Decoders show a palette's colours, and spread samples of 1, 2 and 4 bits over 0 to 255: 85 apart those of 2 bits. Divided by
    that they are the samples again. Any other PNG stays as it is.
    """
    header, *others = chunks(data)
    body = bytearray(header[1])
    if header[0] != b"IHDR" or len(body) <= COLOUR or body[COLOUR] not in (GREY, PALETTE) or body[DEPTH] not in (1, 2, 4, 8):
        return data, 1
    apart = 255 // ((1 << body[DEPTH]) - 1)
    body[COLOUR] = GREY
    shown = [(b"IHDR", bytes(body)), *(chunk for chunk in others if chunk[0] in PIXELS)]
    return SIGNATURE + b"".join(_chunk(*chunk) for chunk in shown), apart


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
