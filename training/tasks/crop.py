"""Random crops of full images: zoomed, shifted and flipped."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


class ZoomSettings(Protocol):
    """The settings of a random crop."""

    @property
    def min_scale(self) -> float: ...
    @property
    def max_scale(self) -> float: ...
    @property
    def flip_probability(self) -> float: ...


def random_zoom_crop(shape: tuple[int, ...], size: tuple[int, int], settings: ZoomSettings, rng: np.random.Generator) -> Matrix:
    """Draw a random crop of an image.

    At scale 1 the crop is the full image, resized as on the device. A larger image is cropped at a random place; a smaller one is
    placed at random inside the crop.

    Args:
        shape: Height and width of the image.
        size: Height and width of the crop.
        settings: Range of the scale and probability of a flip.
        rng: Source of randomness.

    Returns:
        Matrix (2, 3) from image to crop pixels.
    """
    zoom = rng.uniform(settings.min_scale, settings.max_scale)
    scale = zoom * np.array([size[1] / shape[1], size[0] / shape[0]])  # of x and y
    excess = np.array([size[1], size[0]]) * (zoom - 1)
    shift = -rng.random(2) * excess
    matrix = np.zeros((2, 3))
    matrix[:, :2] = np.diag(scale)
    matrix[:, 2] = 0.5 * scale - 0.5 + shift  # pixel centres are at halves, as in resizing
    if rng.random() < settings.flip_probability:
        matrix[0] = np.array([0.0, 0.0, size[1] - 1.0]) - matrix[0]
    return matrix
