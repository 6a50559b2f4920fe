"""Image files of every format: header sizes, the pixel limit, trailing data, and damage."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import decode, read_image
from mobile_eval.image.image_size import (
    MAX_PIXELS,
    MAX_SIDE,
    MAX_WARPED_PIXELS,
    header_size,
    max_pixels,
    set_max_pixels,
    stored_size,
)
from tests.support.image_files import FORMATS, SIGNATURE, chunk, encoded, photograph, png_header, png_of_samples, png_that_claims

READS_GIF = tuple(map(int, cv2.__version__.split(".")[:2])) >= (4, 12)
JPEG = encoded(photograph(90, 120), format="JPEG")


def pixels(data: bytes) -> np.ndarray:
    return decode(data, cv2.IMREAD_COLOR, "image x")


@pytest.mark.parametrize("name", FORMATS)
def test_sizes_and_pixels_match_pillow(name: str, tmp_path: Path) -> None:
    for height, width in ((1, 1), (7, 300), (257, 19), (64, 1000)):
        data = encoded(photograph(height, width), **FORMATS[name])
        with Image.open(io.BytesIO(data)) as opened:
            expected = np.asarray(opened.convert("RGB")).astype(int)
        path = tmp_path / name
        path.write_bytes(data)
        assert stored_size(path) == header_size(data) == expected.shape[:2] == (height, width)
        if not name.endswith(".gif") or READS_GIF:
            assert np.abs(read_image(path).astype(int) - expected).max() <= 3  # decoders of JPEG and WebP round differently


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "I;16"])
def test_sizes_of_other_modes(mode: str) -> None:
    for suffix in ("PNG", "TIFF"):
        file = io.BytesIO()
        image = Image.fromarray(np.zeros((30, 41), np.uint16)) if mode == "I;16" else Image.new(mode, (41, 30))
        image.save(file, suffix)
        assert header_size(file.getvalue()) == (30, 41)


@pytest.mark.parametrize(
    "data", [b"P1\n# by hand\n3 2\n1 0 1\n0 1 0\n", b"P5 3\n#\n2 255 ABCDEF", b"P6\t3  2\r\n255\n" + bytes(18)]
)
def test_sizes_of_portable_maps(data: bytes) -> None:
    assert header_size(data) == Image.open(io.BytesIO(data)).size[::-1] == (2, 3)


def with_size(data: bytes, width: int, height: int) -> bytes:
    """The file with a different size in its header."""
    changed = bytearray(data)
    kind = Image.open(io.BytesIO(data)).format
    if kind == "BMP":
        changed[18:26] = struct.pack("<ii", width, height)
    elif kind == "GIF":
        changed[6:10] = struct.pack("<HH", width, height)
    elif kind == "PPM":
        changed = bytearray(data.replace(b"120 90", b"%d %d" % (width, height), 1))
    elif kind == "JPEG":
        offset = data.index(b"\xff\xc0") + 5
        changed[offset : offset + 4] = struct.pack(">HH", height, width)
    elif kind == "WEBP":
        changed[26:30] = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
    elif kind == "TIFF":
        for tag, before, after in ((256, 120, width), (257, 90, height)):
            offset = data.index(struct.pack("<HHI", tag, 4, 1)) + 8
            assert data[offset : offset + 4] == struct.pack("<I", before)
            changed[offset : offset + 4] = struct.pack("<I", after)
    return bytes(changed)


@pytest.mark.parametrize("name", ["a.jpg", "a.bmp", "lossy.webp", "a.tif", "a.gif", "a.ppm"])
def test_small_files_with_forged_large_sizes_are_not_decoded(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(with_size(encoded(photograph(90, 120), **FORMATS[name]), 16000, 15000))
    with pytest.raises(HRNetError, match=rf"{name} is 15000x16000 \(height x width\), 240,000,000.*`max_pixels`"):
        read_image(path)


@pytest.mark.parametrize(
    ("width", "height", "depth", "colour"),
    [(40000, 30000, 1, 0), (30000, 30000, 8, 0), (65000, 16000, 8, 2), (100000, 100000, 8, 2), (2**31 - 1, 2**31 - 1, 16, 6)],
)
def test_png_bombs(width: int, height: int, depth: int, colour: int) -> None:
    data = png_that_claims(width, height, depth, colour)
    for flags in (cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED):
        with pytest.raises(HRNetError, match=f"image x is {height}x{width} .* where `max_pixels` is 100,000,000: scale it down$"):
            decode(data, flags, "image x")


def test_pixel_limit_can_be_changed() -> None:
    assert max_pixels() == MAX_PIXELS == 10**8
    data = encoded(photograph(90, 120), format="PNG")
    set_max_pixels(90 * 120)
    set_max_pixels(None)  # keeps the limit
    assert pixels(data).shape == (90, 120, 3)
    set_max_pixels(90 * 120 - 1)
    with pytest.raises(HRNetError, match=r"10,800.*`max_pixels`.*10,799"):
        pixels(data)
    for wrong in (0, -1, MAX_WARPED_PIXELS + 1):
        with pytest.raises(HRNetError, match=r"`max_pixels`.*715,827,882"):
            set_max_pixels(wrong)


def test_sides_that_cannot_be_warped() -> None:
    pixels(encoded(np.zeros((1, MAX_SIDE, 3), np.uint8), format="PNG"))
    with pytest.raises(HRNetError, match="32,766"):
        pixels(encoded(np.zeros((MAX_SIDE + 1, 1, 3), np.uint8), format="PNG"))


THUMBNAIL = b"\xff\xe1" + struct.pack(">H", 2 + 6 + len(JPEG)) + b"Exif\0\0" + JPEG


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    "trailer", [b"ftypmp42" * 400, JPEG, bytes(5000), b"\xff" * 3000, JPEG[:700], b"\xff\xd8\xff\xe1\xff\xff" + JPEG]
)
def test_data_after_the_end_of_a_jpeg(trailer: bytes, progressive: bool) -> None:
    data = encoded(photograph(300, 200, seed=1), format="JPEG", progressive=progressive)
    with_thumbnail = data[:2] + THUMBNAIL + data[2:]
    for image in (data, with_thumbnail):
        np.testing.assert_array_equal(pixels(image + trailer), pixels(data))
        assert header_size(image + trailer) == (300, 200)


@pytest.mark.parametrize("after", [b"", bytes(100_000), b"ftypmp42" * 400])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_truncated_jpegs(share: float, after: bytes) -> None:
    for data in (encoded(photograph(300, 200, 2), format="JPEG", progressive=progressive) for progressive in (False, True)):
        for image in (data, data[:2] + THUMBNAIL + data[2:]):
            with pytest.raises(HRNetError, match=r"image x is (truncated|damaged)"):
                pixels(image[: int(share * len(image))] + after)


def test_pngs_are_read_exactly_to_their_end() -> None:
    data = encoded(photograph(90, 120), format="PNG")
    np.testing.assert_array_equal(pixels(data + b"more"), pixels(data))
    for length in range(8, len(data), 97):
        with pytest.raises(HRNetError, match="image x is damaged"):
            pixels(data[:length])
    for offset in range(41, len(data) - 16, 97):
        with pytest.raises(HRNetError, match=r"image x .*IDAT"):
            pixels(data[:offset] + bytes([data[offset] ^ 0x55]) + data[offset + 1 :])


def test_opencv_and_libpng_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    samples = np.zeros((5, 7), np.uint8)
    profile = chunk(b"iCCP", b"broken\0\0no zlib") + chunk(b"tIME", b"") + chunk(b"pHYs", b"1")
    np.testing.assert_array_equal(pixels(png_of_samples(samples, 8, more=profile)), pixels(png_of_samples(samples, 8)))
    for damaged in (png_of_samples(samples, 8)[:-20], SIGNATURE, SIGNATURE + png_header(7, 5)):
        with pytest.raises(HRNetError, match="damaged"):
            pixels(damaged)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"GIF", b"BM", b"P6", b"RIFF", b"II*\0", b"\xff\xd8\xff", b"text", b"\0\0\0\x0cjP  "]
)
def test_files_without_an_image(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    assert header_size(data) is None
    for read in (read_image, stored_size):
        with pytest.raises(HRNetError, match=r"x.jpg is (damaged|truncated)"):
            read(path)


@pytest.mark.parametrize("name", FORMATS)
def test_mutants_are_read_or_refused(name: str) -> None:
    rng = np.random.default_rng(len(name))
    data = encoded(photograph(40, 60), **FORMATS[name])
    refused: list[str] = []
    for _ in range(60):
        mutant = bytearray(data[: rng.integers(1, len(data) + 1)] if rng.random() < 0.3 else data)
        for _ in range(rng.integers(1, 6)):
            mutant[rng.integers(len(mutant)) if rng.random() < 0.5 else rng.integers(min(len(mutant), 64))] = rng.integers(256)
        try:
            read = pixels(bytes(mutant))
        except ValueError as error:
            refused.append(str(error))
        else:
            assert read.dtype == np.uint8
            assert read.ndim == 3
    assert refused
    assert all(line.startswith("image x is ") for line in refused)
