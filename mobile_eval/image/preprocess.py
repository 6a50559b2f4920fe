"""From images to a network's inputs; training, calibration and the device all use these functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.image.geometry import STANDARD, Array, Geometry, Image, box_matrix
from mobile_eval.image.image_file import BoxedItem, read_item
from mobile_eval.typed import Size

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CENTER_FRACTION = 0.875  # of the resized image's shorter side (torchvision: 224 of 256)
MAX_STRIP_PIXELS = 2**22


def warp_crop(image: Image, matrix: Array, input_size: Size) -> Image:
    """Cut a crop out of an image: bilinear, black outside.

    Args:
        image: Image (H, W, 3).
        matrix: Affine matrix (2, 3) from image to crop pixels.
        input_size: Height and width of the crop.

    Returns:
        Crop (height, width, 3).
    """
    height, width = input_size
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def instance_crops(instances: Sequence[BoxedItem], input_size: Size, geometry: Geometry = STANDARD) -> tuple[Image, Array]:
    """Read images and crop instances out of them.

    Args:
        instances: Boxes in images.
        input_size: Height and width of the crops.
        geometry: How sides are counted.

    Returns:
        Crops (N, height, width, 3), RGB, and the affine matrices (N, 2, 3) from image to crop pixels.
    """
    matrices = np.stack([box_matrix(instance.box, input_size, geometry) for instance in instances])
    images = map(read_item, instances)
    crops = [warp_crop(image, matrix, input_size) for image, matrix in zip(images, matrices, strict=True)]
    return np.stack(crops), matrices


def resize(image: Image, size: Size) -> Image:
    """Resize an image (H, W, 3) to (height, width): bilinear, as the official segmentation code does."""
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def resized_center(image: Image, size: Size) -> Image:
    """Resize an image so that `size` is 0.875 of it, and crop the center: ImageNet's usual evaluation.

    The same as torchvision's Resize(256) and CenterCrop(224) on PIL images: bilinear, averaging where the image shrinks.

    Args:
        image: Image (H, W, 3).
        size: Height and width of the crop.

    Returns:
        Crop (height, width, 3).
    """
    minimum = [round(side / CENTER_FRACTION) for side in size]
    scale = max(side / source for side, source in zip(minimum, image.shape[:2], strict=True))
    sides = [max(side, int(source * scale)) for side, source in zip(minimum, image.shape[:2], strict=True)]
    starts = [round((resized - crop) / 2) for resized, crop in zip(sides, size, strict=True)]
    rows, columns = (
        _triangle_weights(source, resized, start, crop)
        for source, resized, start, crop in zip(image.shape[:2], sides, starts, size, strict=True)
    )
    narrow = np.concatenate([_resize_rows(columns, strip) for strip in _strips(image)], axis=1)  # (width, H, 3)
    crop = np.tensordot(rows, narrow, (1, 1))  # (height, width, 3)
    return np.asarray(np.clip(np.rint(crop), 0, 255), np.uint8)


def _strips(image: Image) -> Iterator[Image]:
    """Yield strips of rows of at most MAX_STRIP_PIXELS, or one row: the full image as float32 would need 12 bytes a pixel."""
    rows = max(MAX_STRIP_PIXELS // image.shape[1], 1)
    return (image[top : top + rows] for top in range(0, image.shape[0], rows))


def _resize_rows(weights: NDArray[np.float32], strip: Image) -> NDArray[np.float32]:
    """Apply weights (width, W) to the rows of a strip (h, W, 3): (width, h, 3)."""
    return np.tensordot(weights, strip.astype(np.float32), (1, 1))


def _triangle_weights(source: int, resized: int, start: int, count: int) -> NDArray[np.float32]:
    """Return the weights (count, source) of source pixels for `count` pixels of the resized side, from `start` on.

    They are triangles as wide as two of the larger pixels. Only the non-zero part of each row is computed: all weights of a
    strip of 1 x 20,000 pixels would need hundreds of gigabytes.
    """
    step = source / resized
    weights = np.zeros((count, source), np.float32)
    for row, center in zip(weights, (np.arange(start, start + count) + 0.5) * step, strict=True):
        first, end = max(int(center - max(step, 1)), 0), min(int(center + max(step, 1)) + 1, source)
        triangle = np.maximum(1 - np.abs(np.arange(first, end) + 0.5 - center) / max(step, 1), 0)
        row[first:end] = triangle / triangle.sum()
    return weights


def normalize(
    crops: Image,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Normalize RGB bytes: divide by 255, subtract the mean, divide by the standard deviation.

    Args:
        crops: Images (..., 3), uint8 RGB.
        mean: Mean per channel, 0 to 1.
        std: Standard deviation per channel, 0 to 1.
        out: Contiguous array of the same shape to write to; None allocates one.

    Returns:
        Normalized images (..., 3).

    Example:
        >>> images = np.full((8, 64, 64, 3), 128, np.uint8)
        >>> normalized = normalize(images)
        >>> normalized.shape, round(float(normalized[0, 0, 0, 0]), 3)
        ((8, 64, 64, 3), 0.074)
    """
    scale = np.float32(1) / (np.float32(255) * np.array(std, np.float32))
    offset = -np.array(mean, np.float32) / np.array(std, np.float32)
    table = np.asarray(np.arange(256, dtype=np.uint8)[None, :, None] * scale + offset, np.float32)
    normalized = np.empty(crops.shape, np.float32) if out is None else out
    cv2.LUT(crops.reshape(1, -1, 3), table, normalized.reshape(1, -1, 3))
    return normalized
