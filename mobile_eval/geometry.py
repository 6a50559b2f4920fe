"""Boxes, crops and the affine warps between images, network inputs and heatmaps; the single truth for all.

Points are (x, y) in pixels, sizes (height, width), boxes COCO xywh. The crop follows the official HRNet
code base: the box is extended to the input's aspect ratio, padded, and its centre becomes the input's centre.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Numbers = Sequence[float] | Array
BOX_PADDING = 1.25


def checked_box(box: Any, where: str) -> tuple[float, float, float, float]:
    """A box (x, y, width, height) of four numbers with an area; else ValueError, which begins with `where`."""
    try:
        x, y, width, height = map(float, box)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: bbox must be [x, y, width, height], got {box!r}") from None
    if not (width > 0 and height > 0):
        raise ValueError(f"{where}: bbox {box} has no area")
    return x, y, width, height


def expand_box(box: Numbers, input_size: tuple[int, int], padding: float = BOX_PADDING) -> tuple[Array, Array]:
    """Centre (x, y) and extent (width, height) of a box extended to the aspect ratio of `input_size` and padded."""
    x, y, width, height = map(float, box)
    aspect = input_size[1] / input_size[0]
    extent = np.array([max(width, height * aspect) * padding, max(height, width / aspect) * padding])
    return np.array([x + width / 2, y + height / 2]), extent


def crop_matrix(center: Numbers, extent: Numbers, input_size: tuple[int, int], rotation: float = 0.0) -> Array:
    """2x3 affine matrix from image to crop pixels; `rotation` in radians turns the content clockwise on screen."""
    height, width = input_size
    x, y = map(float, center)
    scale = width / float(extent[0])
    cos, sin = scale * math.cos(rotation), scale * math.sin(rotation)
    return np.array([[cos, -sin, width / 2 - cos * x + sin * y], [sin, cos, height / 2 - sin * x - cos * y]])


def box_matrix(box: Numbers, input_size: tuple[int, int]) -> Array:
    """2x3 affine matrix from image to crop pixels for a person's box, without augmentation."""
    return crop_matrix(*expand_box(box, input_size), input_size)


def invert(matrix: Array) -> Array:
    """The 2x3 matrix that undoes a 2x3 affine matrix."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def transform_points(points: ArrayLike, matrix: Array) -> Array:
    """Points (..., 2) through a 2x3 affine matrix."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
