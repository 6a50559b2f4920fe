"""Image files of every supported format, written without the code under test."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
FORMATS: dict[str, dict[str, Any]] = {
    "a.jpg": {"format": "JPEG"},
    "progressive.jpg": {"format": "JPEG", "progressive": True},
    "commented.jpg": {"format": "JPEG", "comment": b"\xff\xd9 is no end here \xff\xc0\0\x11\x08"},
    "a.jfif": {"format": "JPEG", "quality": 30},
    "a.png": {"format": "PNG"},
    "a.bmp": {"format": "BMP"},
    "lossy.webp": {"format": "WEBP"},
    "lossless.webp": {"format": "WEBP", "lossless": True},
    "exif.webp": {"format": "WEBP", "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"},
    "a.tif": {"format": "TIFF"},
    "deflated.tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    "a.gif": {"format": "GIF"},
    "a.ppm": {"format": "PPM"},
}


def photograph(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """An image (H, W, 3) of smooth colors, which compresses well."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR), np.uint8)


def encoded(image: NDArray[np.uint8], **options: Any) -> bytes:
    """The image encoded by Pillow."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int = 8, color_type: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))


def png_of_samples(samples: NDArray[np.uint8], depth: int, palette: bytes = b"", more: bytes = b"") -> bytes:
    """A PNG with samples (H, W) of `depth` bits: gray levels, or indices into `palette` (RGB each)."""
    height, width = samples.shape
    bits = np.unpackbits(samples[..., None], axis=2)[..., 8 - depth :].reshape(height, width * depth)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(bits, axis=1))
    palette_chunk = chunk(b"PLTE", palette) if palette else b""
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return SIGNATURE + png_header(width, height, depth, 3 if palette else 0) + palette_chunk + more + pixels + chunk(b"IEND", b"")


def png_that_claims(width: int, height: int, depth: int = 8, color_type: int = 2) -> bytes:
    """A PNG of a few bytes whose header claims this size."""
    return (
        SIGNATURE + png_header(width, height, depth, color_type) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")
    )
