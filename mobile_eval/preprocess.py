"""From an image on disk to a network's input; training, calibration and the device all take this way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco import Person
from mobile_eval.geometry import Array, box_matrix

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def read_image(path: Path | str, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """The image as (H, W, 3) uint8 RGB, turned upright as its EXIF orientation says.

    `size` (height, width) is what annotations say of it. Where only the image as it is stored has that size, it stays as it is
    stored, as COCO's tools read images; ValueError where neither has.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read image {path}: {error.strerror}") from error
    if data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-1024:]:  # opencv would fill the rest with grey, silently
        raise ValueError(f"image {path} is truncated: it has no end-of-image marker; copy it again")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise ValueError(f"image {path} is damaged or of a format that opencv cannot read; copy or convert it again")
    if size is not None and image.shape[:2] != size:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None or image.shape[:2] != size:
            found, said = ("x".join(map(str, shape)) for shape in (image.shape[:2] if image is not None else (), size))
            raise ValueError(f"image {path} is {found} (height x width), but its annotations say {said}: is it another image?")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def warp_crop(image: NDArray[np.uint8], matrix: Array, input_size: tuple[int, int]) -> NDArray[np.uint8]:
    """The part of `image` that `matrix` (2x3, image to crop) puts into (height, width): bilinear, black outside."""
    height, width = input_size
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def person_crops(persons: Sequence[Person], input_size: tuple[int, int]) -> tuple[NDArray[np.uint8], Array]:
    """RGB crops (N, H, W, 3) of persons in their boxes, and the matrices (N, 2, 3) from image to crop."""
    matrices = np.stack([box_matrix(person.box, input_size) for person in persons])
    images = (read_image(person.image_path, person.image_size) for person in persons)
    crops = [warp_crop(image, matrix, input_size) for image, matrix in zip(images, matrices, strict=True)]
    return np.stack(crops), matrices


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
