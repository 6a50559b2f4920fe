"""PNG files by their chunks: whether they are complete, without the chunks that libpng warns of, and the indices of a palette."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator

from mobile_eval.errors import HRNetError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXEL_CHUNKS = (b"IHDR", b"IDAT", b"IEND")
CRITICAL_CHUNKS = (*PIXEL_CHUNKS, b"PLTE")
COLOR_CHUNKS = (*CRITICAL_CHUNKS, b"tRNS", b"eXIf")  # without color profiles: libpng prints warnings of broken ones
DEPTH, COLOR_TYPE = 8, 9  # offsets in the body of IHDR
GRAY, PALETTE = 0, 3  # color types
CHUNK_OVERHEAD = 12  # bytes of length, kind and checksum
TRUNCATED = "it is truncated: it has no end chunk (IEND)"


class DamagedPngError(HRNetError):
    """A PNG file is truncated or damaged."""


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and body of each chunk up to IEND; what follows does not belong to the PNG.

    Raises:
        DamagedPngError: The file ends before IEND, or the checksum of a critical chunk is wrong.
    """
    position, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if position + CHUNK_OVERHEAD > len(data):
            raise DamagedPngError(TRUNCATED)
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        body, checksum = data[position + 8 : end], data[end : end + 4]
        if len(checksum) < 4:
            raise DamagedPngError(TRUNCATED)
        if kind in CRITICAL_CHUNKS and struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))) != checksum:
            raise DamagedPngError(f"the checksum of its chunk {kind.decode('ascii')} is wrong")
        yield kind, body
        position = end + 4


def keep_chunks(data: bytes, kinds: Collection[bytes]) -> bytes:
    """Return a PNG file without its chunks of other kinds."""
    parts = list(chunks(data))
    if all(kind in kinds for kind, _ in parts):
        return data
    return SIGNATURE + b"".join(_chunk(kind, body) for kind, body in parts if kind in kinds)


def with_indices(data: bytes) -> tuple[bytes, int]:
    """Rewrite a PNG with a palette or one channel as a gray one, whose levels stand for the stored samples.

    Decoders replace palette indices by colors, and spread samples of 1, 2 and 4 bits over 0 to 255: those of 2 bits are 85
    apart. Divided by this step the gray levels are the samples again.

    Returns:
        The file, and the step between gray levels. Other PNG files are returned as they are, with a step of 1.
    """
    header, *others = chunks(data)
    body = bytearray(header[1])
    if (
        header[0] != b"IHDR"
        or len(body) <= COLOR_TYPE
        or body[COLOR_TYPE] not in (GRAY, PALETTE)
        or body[DEPTH] not in (1, 2, 4, 8)
    ):
        return data, 1
    step = 255 // ((1 << body[DEPTH]) - 1)
    body[COLOR_TYPE] = GRAY
    kept = [(b"IHDR", bytes(body)), *(chunk for chunk in others if chunk[0] in PIXEL_CHUNKS)]
    return SIGNATURE + b"".join(_chunk(*chunk) for chunk in kept), step


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
