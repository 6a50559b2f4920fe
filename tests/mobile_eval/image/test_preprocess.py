"""Image files of many kinds as 8-bit RGB, and their preprocessing."""

from __future__ import annotations

import base64
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_image
from mobile_eval.image.image_size import MAX_SIDE
from mobile_eval.image.preprocess import normalize, resized_center
from tests.support.image_files import photograph

HEIGHT, WIDTH = 24, 40
# 16x8 pixels of (200, 40, 90), saved as CMYK with Adobe's inverted ink
CMYK_JPEG = (
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAbEhQXFBEbFxYXHhwbIChCKyglJShROj0wQmBVZWRfVV1baniZgWpxkHNbXYW1hpCeo6utq2eAvMm6pseZqKuk"
    "/8AAFAgACAAQBEMRAE0RAFkRAEsRAP/EABcAAQEBAQAAAAAAAAAAAAAAAAAFBAb/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/9oADgRDAE0AWQBLAAA/AKqK"
    "yOmAH//Z"
)


@pytest.fixture
def rgb() -> NDArray[np.uint8]:
    """An image whose red rises to the right and whose green rises downwards."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 0] = np.linspace(0, 250, WIDTH).astype(np.uint8)
    image[..., 1] = np.linspace(0, 250, HEIGHT).astype(np.uint8)[:, None]
    return image


def write(path: Path, image: NDArray[np.generic]) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


def with_orientation(path: Path, orientation: int) -> Path:
    """Insert an EXIF orientation into the JPEG."""
    tiff = (
        b"MM\x00*\x00\x00\x00\x08" + b"\x00\x01" + b"\x01\x12\x00\x03\x00\x00\x00\x01" + bytes([0, orientation, 0, 0]) + bytes(4)
    )
    body = b"Exif\x00\x00" + tiff
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:])
    return path


def test_colour_grey_alpha_and_sixteen_bits(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    bgr = rgb[..., ::-1]
    np.testing.assert_array_equal(read_image(write(tmp_path / "colour.png", bgr)), rgb)
    grey = read_image(write(tmp_path / "grey.png", rgb[..., 0]))
    np.testing.assert_array_equal(grey, rgb[..., :1].repeat(3, axis=2))
    alpha = np.dstack([bgr, np.full((HEIGHT, WIDTH), 7, np.uint8)])
    np.testing.assert_array_equal(read_image(write(tmp_path / "alpha.png", alpha)), rgb)
    deep = read_image(write(tmp_path / "deep.png", bgr.astype(np.uint16) * 257))
    assert np.abs(deep.astype(int) - rgb).max() <= 1
    assert {image.dtype for image in (grey, deep)} == {np.dtype(np.uint8)}


def test_cmyk(tmp_path: Path) -> None:
    path = tmp_path / "ink.jpg"
    path.write_bytes(base64.b64decode(CMYK_JPEG))
    pixels = read_image(path)
    assert pixels.shape == (8, 16, 3)
    assert np.abs(pixels.astype(int) - [200, 40, 90]).max() <= 4


def test_images_are_turned_upright_by_default(rgb: NDArray[np.uint8], tmp_path: Path) -> None:
    path = with_orientation(write(tmp_path / "turned.jpg", rgb[..., ::-1]), 6)  # to be rotated clockwise
    upright = read_image(path)
    assert upright.shape == (WIDTH, HEIGHT, 3)
    assert np.abs(upright.astype(int) - np.rot90(rgb, -1)).mean() < 12
    np.testing.assert_array_equal(read_image(path, (WIDTH, HEIGHT)), upright)
    stored = read_image(path, (HEIGHT, WIDTH), upright=False)
    assert np.abs(stored.astype(int) - rgb).mean() < 12
    with pytest.raises(HRNetError, match=r"turned\.jpg.*40x24.*30x30"):
        read_image(path, (30, 30))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 64), (224, 224), (96, 160)])
@pytest.mark.parametrize("shape", [(300, 400), (401, 77), (30, 50), (1000, 1333), (2600, 1800)])
def test_resized_center_matches_pillow(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image = photograph(*shape)
    shorter = [round(side / 0.875) for side in size]
    scale = max(side / length for side, length in zip(shorter, shape, strict=True))
    height, width = (max(side, int(length * scale)) for side, length in zip(shorter, shape, strict=True))
    top, left = round((height - size[0]) / 2), round((width - size[1]) / 2)
    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    expected = resized[top : top + size[0], left : left + size[1]].astype(int)
    assert np.abs(resized_center(image, size) - expected).max() <= 1  # Pillow rounds after each direction


@pytest.mark.parametrize("shape", [(120, 90), (37, 500), (640, 480), (2100, 2100)])
def test_resized_center_matches_full_weight_matrices(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    scale = max(110 / side for side in shape)
    weights = []
    for length in shape:
        resized = max(110, int(length * scale))
        distances = np.arange(length) + 0.5 - (np.arange(resized)[:, None] + 0.5) * length / resized
        triangles = np.maximum(1 - np.abs(distances) / max(length / resized, 1), 0)
        start = round((resized - 96) / 2)
        weights.append((triangles / triangles.sum(axis=1, keepdims=True)).astype(np.float32)[start : start + 96])
    across = np.tensordot(weights[1], image.astype(np.float32), (1, 1))
    np.testing.assert_array_equal(resized_center(image, (96, 96)), np.rint(np.tensordot(weights[0], across, (1, 1))))


@pytest.mark.parametrize("shape", [(1, 20000), (20000, 1), (5000, 125), (1, MAX_SIDE)])
def test_thin_images_need_little_memory(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 77, np.uint8)
    tracemalloc.start()
    crop = resized_center(image, (64, 64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(crop, np.full((64, 64, 3), 77))
    assert peak < 100 * 2**20


def test_normalization() -> None:
    levels = np.array([[0, 128, 255]], np.uint8)
    expected = (levels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(normalize(levels), expected, atol=1e-6)
    batch = np.random.default_rng(0).integers(0, 256, (2, 5, 3, 3), np.uint8)
    out = np.empty((2, 2, 5, 3, 3), np.float32)
    assert normalize(batch, out=out[1]) is not None
    np.testing.assert_array_equal(out[1], normalize(batch))
    np.testing.assert_array_equal(out[1, 1, 4, 2], normalize(batch[1, 4, 2]))
