"""From an image on disk to a network's input; training, calibration and the device all take this way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.keypoints import KeypointInstance
from mobile_eval.errors import HRNetError
from mobile_eval.image.exif import oriented
from mobile_eval.image.geometry import STANDARD, Array, Geometry, box_matrix
from mobile_eval.image.image_file import decode

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CENTRE_SHARE = 0.875  # of the resized image's shorter side is what classification networks look at
MOST_STRIP_PIXELS = 2**22


class ImageItem(Protocol):
    """An item of a data set: `image_size` is (height, width) where the data set says it, `upright` whether its annotations are of
    the image turned as EXIF says, or else of the stored one (`datasets.coordinate_frame`).
    """

    @property
    def image_path(self) -> Path: ...
    @property
    def image_size(self) -> tuple[int, int] | None: ...
    @property
    def upright(self) -> bool: ...


def read_item(item: ImageItem) -> NDArray[np.uint8]:
    """The image (H, W, 3) uint8 RGB that an item of a data set is of, as its annotations see it."""
    return read_image(item.image_path, item.image_size, upright=item.upright)


def read_image(
    path: Path | str, size: tuple[int, int] | None = None, because: str = "its annotations say", *, upright: bool = True
) -> NDArray[np.uint8]:
    """The image as (H, W, 3) uint8 RGB, turned upright as its EXIF orientation says, or else as it is stored.

    `size` (height, width) is what annotations say of it; HRNetError, with `because` before the size, where it has another.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise HRNetError(f"cannot read image {path}: {error.strerror}") from error
    stored = decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, f"image {path}")
    image = oriented(stored, data, upright=upright)
    if size is not None and image.shape[:2] != size:
        found, said = ("x".join(map(str, shape)) for shape in (image.shape[:2], size))
        raise HRNetError(f"image {path} is {found} (height x width), but {because} {said}: is it another image?")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def warp_crop(image: NDArray[np.uint8], matrix: Array, input_size: tuple[int, int]) -> NDArray[np.uint8]:
    """The part of `image` that `matrix` (2x3, image to crop) puts into (height, width): bilinear, black outside."""
    height, width = input_size
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def instance_crops(
    instances: Sequence[KeypointInstance], input_size: tuple[int, int], geometry: Geometry = STANDARD
) -> tuple[NDArray[np.uint8], Array]:
    """RGB crops (N, H, W, 3) of persons in their boxes, and the matrices (N, 2, 3) from image to crop."""
    matrices = np.stack([box_matrix(instance.box, input_size, geometry) for instance in instances])
    images = map(read_item, instances)
    crops = [warp_crop(image, matrix, input_size) for image, matrix in zip(images, matrices, strict=True)]
    return np.stack(crops), matrices


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The whole image at (height, width): bilinear, as the official segmentation code resizes."""
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def resized_centre(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """What classification networks look at: the shorter side resized to `size` / 0.875, of that the middle (height, width).

    ImageNet's usual evaluation (torchvision's Resize(256), CenterCrop(224)), with its resizing: bilinear, over all pixels that
    fall into one where the image becomes smaller.
    """
    wanted = [round(side / CENTRE_SHARE) for side in size]
    scale = max(side / own for side, own in zip(wanted, image.shape[:2], strict=True))
    sides = [max(side, int(own * scale)) for side, own in zip(wanted, image.shape[:2], strict=True)]
    starts = [round((whole - part) / 2) for whole, part in zip(sides, size, strict=True)]
    rows, columns = (
        _triangles(own, whole, start, part) for own, whole, start, part in zip(image.shape[:2], sides, starts, size, strict=True)
    )
    narrow = np.concatenate([_across(columns, strip) for strip in _strips(image)], axis=1)  # (width, H, 3)
    resized = np.tensordot(rows, narrow, (1, 1))  # (height, width, 3)
    return np.asarray(np.clip(np.rint(resized), 0, 255), np.uint8)


def _strips(image: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """The image in strips of rows, of MOST_STRIP_PIXELS at most or one row: as float32 it would need 12 bytes a pixel."""
    rows = max(MOST_STRIP_PIXELS // image.shape[1], 1)
    return (image[top : top + rows] for top in range(0, image.shape[0], rows))


def _across(columns: NDArray[np.float32], strip: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Weights (width, W) on a strip (h, W, 3) of an image: (width, h, 3)."""
    return np.tensordot(columns, strip.astype(np.float32), (1, 1))


def _triangles(own: int, wanted: int, start: int, count: int) -> NDArray[np.float32]:
    """Weights (count, own) of pixels for those from `start` on of the `wanted` that a side of `own` pixels is resized to.

    They are triangles as wide as two of the larger pixels, and zero elsewhere: a row of them is worked out where it is not, since
    `own` times `wanted` numbers of a strip of 1 x 20,000 pixels would need hundreds of gigabytes.
    """
    step = own / wanted
    weights = np.zeros((count, own), np.float32)
    for row, centre in zip(weights, (np.arange(start, start + count) + 0.5) * step, strict=True):
        first, end = max(int(centre - max(step, 1)), 0), min(int(centre + max(step, 1)) + 1, own)
        near = np.maximum(1 - np.abs(np.arange(first, end) + 0.5 - centre) / max(step, 1), 0)
        row[first:end] = near / near.sum()
    return weights


def normalize(
    crops: NDArray[np.uint8],
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """uint8 RGB (..., 3) to float32: divided by 255, minus mean, divided by standard deviation (ImageNet's by default).

    `out` is where the result goes, if given: of the same shape and in one piece.
    """
    scale = np.float32(1) / (np.float32(255) * np.array(std, np.float32))
    offset = -np.array(mean, np.float32) / np.array(std, np.float32)
    table = np.asarray(np.arange(256, dtype=np.uint8)[None, :, None] * scale + offset, np.float32)
    found = np.empty(crops.shape, np.float32) if out is None else out
    cv2.LUT(crops.reshape(1, -1, 3), table, found.reshape(1, -1, 3))
    return found
