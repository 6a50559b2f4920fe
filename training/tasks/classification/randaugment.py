"""RandAugment (Cubuk et al., arXiv 1909.13719): random operations, all of the same magnitude.

The operations are Pillow's, their ranges torchvision's. keras-cv's layer draws from TensorFlow's global generator, so a resumed
training could not repeat its images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

LEVELS = 30.0
GREY = (128, 128, 128)
Picture = Image.Image
Operation = Callable[[Picture, float, float], Picture]  # takes an image, a strength from 0 to 1 and a sign


def _affine(a: float, b: float, c: float, d: float, e: float, f: float) -> Callable[[Picture], Picture]:
    return lambda image: image.transform(
        image.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.NEAREST, fillcolor=GREY
    )


def _enhance(kind: Callable[[Picture], ImageEnhance._Enhance]) -> Operation:
    return lambda image, strength, sign: kind(image).enhance(1 + sign * 0.9 * strength)


OPERATIONS: tuple[Operation, ...] = (
    lambda image, strength, sign: image,
    lambda image, strength, sign: _affine(1, sign * 0.3 * strength, 0, 0, 1, 0)(image),
    lambda image, strength, sign: _affine(1, 0, 0, sign * 0.3 * strength, 1, 0)(image),
    lambda image, strength, sign: _affine(1, 0, sign * 150 / 331 * strength * image.width, 0, 1, 0)(image),
    lambda image, strength, sign: _affine(1, 0, 0, 0, 1, sign * 150 / 331 * strength * image.height)(image),
    lambda image, strength, sign: image.rotate(sign * 30 * strength, Image.Resampling.NEAREST, fillcolor=GREY),
    _enhance(ImageEnhance.Brightness),
    _enhance(ImageEnhance.Color),
    _enhance(ImageEnhance.Contrast),
    _enhance(ImageEnhance.Sharpness),
    lambda image, strength, sign: ImageOps.posterize(image, 8 - round(4 * strength)),
    lambda image, strength, sign: ImageOps.solarize(image, round(255 * (1 - strength))),
    lambda image, strength, sign: ImageOps.autocontrast(image),
    lambda image, strength, sign: ImageOps.equalize(image),
)


def randaugment(image: NDArray[np.uint8], count: int, magnitude: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Apply random operations to an image.

    Args:
        image: Image (H, W, 3), RGB.
        count: Number of operations.
        magnitude: Their magnitude, from 0 to 30.
        rng: Source of randomness.

    Returns:
        Image (H, W, 3), RGB.
    """
    picture = Image.fromarray(image)
    for _ in range(count):
        operation = OPERATIONS[rng.integers(len(OPERATIONS))]
        picture = operation(picture, magnitude / LEVELS, float(rng.choice((-1.0, 1.0))))
    return np.asarray(picture, np.uint8)
