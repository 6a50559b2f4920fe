"""Masks: bit depths, palettes, values 0 and 255, and folders shared with images."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mobile_eval.datasets.segmentation import load_segmentation_dataset, read_mask
from mobile_eval.errors import HRNetError
from tests.mobile_eval.conftest import Invoke, TaskModel, one_line
from tests.support.image_files import chunk, encoded, photograph, png_of_samples, png_that_claims

HEIGHT, WIDTH = 45, 61


def indices(classes: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, classes, (HEIGHT, WIDTH)).astype(np.uint8)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("alpha", [False, True])
def test_palette_indices_equal_pillow(depth: int, alpha: bool, tmp_path: Path) -> None:
    samples, colours = indices(min(2**depth, 200)), np.random.default_rng(1).integers(0, 256, 3 * 2**depth).astype(np.uint8)
    path = tmp_path / "m.png"
    path.write_bytes(png_of_samples(samples, depth, colours.tobytes(), chunk(b"tRNS", b"\0\x80") if alpha else b""))
    with Image.open(path) as opened:
        assert (opened.mode, "transparency" in opened.info) == ("P", alpha)
        expected = np.asarray(opened)
    np.testing.assert_array_equal(read_mask(path, 255), expected)
    np.testing.assert_array_equal(expected, samples)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("interlaced", [False, True])
def test_palettes_written_by_pillow(bits: int, interlaced: bool, tmp_path: Path) -> None:
    samples, path = indices(2**bits if bits < 8 else 200), tmp_path / "m.png"
    image = Image.fromarray(samples, "L").convert("P")
    image.putdata(samples.ravel().tolist())
    image.putpalette(np.random.default_rng(1).integers(0, 256, 3 * 2**bits).astype(np.uint8).tolist())
    image.save(path, bits=bits, interlace=interlaced)
    np.testing.assert_array_equal(read_mask(path, 255), samples)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_grey_levels_of_few_bits_are_read_as_stored(depth: int, tmp_path: Path) -> None:
    samples, path = indices(2**depth), tmp_path / "m.png"
    path.write_bytes(png_of_samples(samples, depth))
    np.testing.assert_array_equal(read_mask(path, 2**depth), samples)
    with Image.open(path) as opened:  # Pillow scales levels to 0 to 255
        shown = np.asarray(opened.convert("L")).astype(int)
    np.testing.assert_array_equal(shown * (2**depth - 1) // 255, samples)
    with pytest.raises(HRNetError, match=rf"class {2**depth - 1}\b.* {2**depth - 1} classes"):
        read_mask(path, 2**depth - 1)


@pytest.mark.parametrize("options", [{"format": "TIFF"}, {"format": "BMP"}, {"format": "PPM"}])
def test_other_formats_of_one_channel(options: dict[str, str], tmp_path: Path) -> None:
    samples, path = indices(21), tmp_path / "m"
    path.write_bytes(encoded(samples, **options))
    np.testing.assert_array_equal(read_mask(path, 21), samples)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encoded(indices(3), format="JPEG"), "is a JPEG"),
        (encoded(photograph(9, 9), format="PNG"), r"is uint8 \(9, 9, 3\); expected one channel of bytes"),
        (encoded(indices(3).astype(np.uint16), format="PNG"), r"is uint16 \(45, 61\); expected one channel of bytes"),
        (png_that_claims(40000, 30000, 1, 0), r"is 30000x40000 .* where `max_pixels` is 100,000,000: scale it down$"),
        (png_that_claims(40000, 30000, 8, 3), r"is 30000x40000 .* where `max_pixels` is 100,000,000: scale it down$"),
        (png_that_claims(100000, 100000), r"is 100000x100000 .* where `max_pixels` is 100,000,000: scale it down$"),
        (png_of_samples(indices(3), 8)[:-30], "is damaged: it is truncated"),
        (b"", "is damaged, or of another format"),
    ],
)
def test_refused_masks(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(data)
    with pytest.raises(HRNetError, match=f"^mask .*m.png {message}"):
        read_mask(tmp_path / "m.png", 3)


Write = Callable[[Path, NDArray[np.uint8]], None]


def as_255(path: Path, mask: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(path), mask * 255)


def as_nothing(path: Path, mask: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(path), np.full_like(mask, 255))


def as_bits(path: Path, mask: NDArray[np.uint8]) -> None:
    path.write_bytes(png_of_samples(mask, 1))


def as_bit_palette(path: Path, mask: NDArray[np.uint8]) -> None:
    path.write_bytes(png_of_samples(mask, 1, b"\0\0\0\xff\xff\xff"))


def as_pillow_bits(path: Path, mask: NDArray[np.uint8]) -> None:
    Image.fromarray(mask * 255).convert("1").save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[Write], Path]:
    """Writes three images of a square, and their masks of 0 and 1 by the given function."""

    def make(write: Write) -> Path:
        for part in ("images", "masks"):
            (tmp_path / part).mkdir()
        for number in range(3):
            mask = np.zeros((64, 64), np.uint8)
            mask[10 + number : 30, 20:50] = 1
            cv2.imwrite(str(tmp_path / "images" / f"{number}.jpg"), np.full((64, 64, 3), 90, np.uint8))
            write(tmp_path / "masks" / f"{number}.png", mask)
        return tmp_path

    return make


@pytest.mark.parametrize("write", [as_bits, as_bit_palette, as_pillow_bits])
def test_one_bit_masks_have_two_classes(write: Write, folder: Callable[[Write], Path]) -> None:
    root = folder(write)
    data = load_segmentation_dataset(root / "images", root / "masks")
    assert data.classes == ("class_0", "class_1")
    mask = read_mask(data.images[1].mask_path, 2)
    assert (mask.sum(), mask[11, 20]) == (19 * 30, 1)


@pytest.mark.slow
@pytest.mark.parametrize("with_class_names", [False, True])
@pytest.mark.parametrize("write", [as_255, as_nothing])
def test_masks_of_0_and_255_are_refused(
    write: Write, with_class_names: bool, folder: Callable[[Write], Path], task_model: Callable[..., TaskModel], invoke: Invoke
) -> None:
    root = folder(write)
    if with_class_names:
        (root / "masks" / "classes.json").write_text('["background", "square"]')
    with pytest.raises(HRNetError, match=r"masks.* 0 and 255"):
        load_segmentation_dataset(root / "images", root / "masks")
    model = task_model("segmentation", ("background", "square")).path
    arguments = "--images", root / "images", "--masks", root / "masks"
    for command in (("evaluate", model), ("compare", model, "--output", root / "report")):
        code, _, error = invoke(*command, *arguments)
        assert code == 2
        assert "hold nothing but 0 and 255" in one_line(error)
    assert not (root / "report").exists()
    mask = cv2.imread(str(root / "masks" / "2.png"), cv2.IMREAD_UNCHANGED)
    mask[:5] = 1
    cv2.imwrite(str(root / "masks" / "2.png"), mask)  # with a class 1, 255 is the ignored value
    assert len(load_segmentation_dataset(root / "images", root / "masks").classes) == 2


def test_masks_in_the_folder_of_images_are_refused(folder: Callable[[Write], Path]) -> None:
    root = folder(as_bits)
    for path in (root / "masks").iterdir():
        shutil.copy(path, root / "images" / path.name)
    (root / "link").symlink_to(root / "images")
    for masks in (root / "images", root / "link", root / "masks" / ".." / "images"):
        with pytest.raises(HRNetError, match=r"both in .*images"):
            load_segmentation_dataset(root / "images", masks)
    with pytest.raises(HRNetError, match=r"0\.jpg and 0\.png"):
        load_segmentation_dataset(root / "images", root / "masks")


@pytest.mark.parametrize("linked", [False, True])
def test_masks_inside_the_folder_of_images(linked: bool, folder: Callable[[Write], Path], tmp_path: Path) -> None:
    root = folder(as_bits)
    inside = root / "images" / "masks"
    if linked:
        inside.symlink_to(root / "masks")
    else:
        (root / "masks").rename(inside)
    data = load_segmentation_dataset(root / "images", inside)
    assert [(image.image_path.name, image.mask_path.name) for image in data.images] == [
        (f"{n}.jpg", f"{n}.png") for n in range(3)
    ]
    assert data.skipped_summary == ""


def test_images_inside_the_folder_of_masks(folder: Callable[[Write], Path]) -> None:
    root = folder(as_bits)
    (root / "images").rename(root / "masks" / "images")
    data = load_segmentation_dataset(root / "masks" / "images", root / "masks")
    assert [(image.image_path.name, image.mask_path.name) for image in data.images] == [
        (f"{n}.jpg", f"{n}.png") for n in range(3)
    ]
    assert data.skipped_summary == ""


def test_two_masks_with_the_same_name(folder: Callable[[Write], Path]) -> None:
    root = folder(as_bits)
    (root / "masks" / "1.bmp").write_bytes(encoded(indices(2), format="BMP"))
    with pytest.raises(HRNetError, match=r"1\.bmp and 1\.png"):
        load_segmentation_dataset(root / "images", root / "masks")


def test_pillow_reads_the_test_files() -> None:
    samples = indices(4)
    with Image.open(io.BytesIO(png_of_samples(samples, 2, bytes(range(12))))) as opened:
        np.testing.assert_array_equal(np.asarray(opened), samples)
