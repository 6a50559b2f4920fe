"""Random crops of images, and batches whose images are mixed: MixUp and CutMix."""

from __future__ import annotations

import math

import numpy as np

from training.tasks.base import Array

ATTEMPTS = 10  # at a random crop that fits into the image


def random_resized_crop(
    shape: tuple[int, ...], min_area: float, max_aspect: float, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draw a crop as torchvision's RandomResizedCrop does.

    Args:
        shape: Height and width of the image.
        min_area: Smallest area of the crop, as a fraction of the image's; the largest is 1.
        max_aspect: Largest ratio of width to height; the smallest is its inverse.
        rng: Source of randomness.

    Returns:
        Top, left, height and width of the crop; those of a central one where no random one fits.
    """
    image_height, image_width = shape[:2]
    for _ in range(ATTEMPTS):
        area = image_height * image_width * rng.uniform(min_area, 1)
        aspect = math.exp(rng.uniform(-math.log(max_aspect), math.log(max_aspect)))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= image_width and 0 < height <= image_height:
            return int(rng.integers(image_height - height + 1)), int(rng.integers(image_width - width + 1)), height, width
    height = min(image_height, round(image_width * max_aspect))
    width = min(image_width, round(image_height * max_aspect))
    return (image_height - height) // 2, (image_width - width) // 2, height, width


def mixup(images: Array, labels: Array, alpha: float, rng: np.random.Generator) -> None:
    """Blend images (N, H, W, 3) and labels (N, classes) with those of a permutation, in place (Zhang et al., arXiv 1710.09412).

    Args:
        images: Images of a batch.
        labels: Their labels, distributions over the classes.
        alpha: Parameter of Beta(alpha, alpha), which draws the fraction that stays.
        rng: Source of randomness.
    """
    fraction, order = np.float32(rng.beta(alpha, alpha)), rng.permutation(len(images))
    for part in (images, labels):
        part[:] = fraction * part + (1 - fraction) * part[order]


def cutmix(images: Array, labels: Array, alpha: float, rng: np.random.Generator) -> None:
    """Paste a rectangle of another image into each image (N, H, W, 3), in place (Yun et al., arXiv 1905.04899).

    Labels (N, classes) change by the rectangle's fraction of the area, which is smaller than drawn where a border cuts it.

    Args:
        images: Images of a batch.
        labels: Their labels, distributions over the classes.
        alpha: Parameter of Beta(alpha, alpha), which draws the fraction that stays.
        rng: Source of randomness.
    """
    height, width = images.shape[1:3]
    order, side = rng.permutation(len(images)), np.sqrt(1 - rng.beta(alpha, alpha))
    y, x = rng.random(2) * (height, width)
    top, bottom = (int(np.clip(y + sign * side * height / 2, 0, height)) for sign in (-1, 1))
    left, right = (int(np.clip(x + sign * side * width / 2, 0, width)) for sign in (-1, 1))
    images[:, top:bottom, left:right] = images[order, top:bottom, left:right]
    pasted = np.float32((bottom - top) * (right - left) / (height * width))
    labels[:] = (1 - pasted) * labels + pasted * labels[order]
