"""Random windows on whole images: zoomed, shifted and mirrored."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


class Zoom(Protocol):
    """The settings that a window is drawn by."""

    @property
    def min_scale(self) -> float: ...
    @property
    def max_scale(self) -> float: ...
    @property
    def flip_probability(self) -> float: ...


def random_zoom_crop(shape: tuple[int, ...], size: tuple[int, int], settings: Zoom, rng: np.random.Generator) -> Matrix:
    """Matrix (2, 3) from pixels of an image of `shape` (height, width) to those of a random window of `size` on it.

    At zoom 1 the window is the whole image, resized as the device resizes it. A larger image is cropped anywhere, a smaller
    one lies anywhere in the window.
    """
    zoom = rng.uniform(settings.min_scale, settings.max_scale)
    scale = zoom * np.array([size[1] / shape[1], size[0] / shape[0]])  # of x and y
    beyond = np.array([size[1], size[0]]) * (zoom - 1)
    shift = -rng.random(2) * beyond
    matrix = np.zeros((2, 3))
    matrix[:, :2] = np.diag(scale)
    matrix[:, 2] = 0.5 * scale - 0.5 + shift  # pixel centres are at halves, as resizing has them
    if rng.random() < settings.flip_probability:
        matrix[0] = np.array([0.0, 0.0, size[1] - 1.0]) - matrix[0]
    return matrix
