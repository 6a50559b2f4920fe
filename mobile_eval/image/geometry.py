"""Boxes, crops and the affine warps between images, network inputs and heatmaps; the single truth for all.

Points are (x, y) in pixels, sizes (height, width), boxes COCO xywh. The crop follows the official HRNet
code base: the box is extended to the input's aspect ratio, padded, and its centre becomes the input's centre.

A `Geometry` says how the length of a side is counted:

standard   In pixels, as in the official code: a heatmap pixel is HEATMAP_STRIDE input pixels.
udp        In steps between pixel centers, one fewer than pixels: the box's edges become the centers of the input's outermost
           pixels, and these the centers of the heatmap's. Mirroring an input mirrors its heatmaps exactly (arXiv 1911.07524).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from reprlib import repr as brief
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mobile_eval.errors import HRNetError

Array = NDArray[np.float64]
Numbers = Sequence[float] | Array
BOX_PADDING = 1.25
HEATMAP_STRIDE = 4
FURTHEST_PX = 1e6  # what lies further out is no place in an image
Geometry = Literal["standard", "udp"]
STANDARD: Final = "standard"
UDP: Final = "udp"
GEOMETRIES: tuple[Geometry, ...] = get_args(Geometry)


def geometry_of(targets: object) -> Geometry:
    """The geometry of a network that learnt by heatmaps of that kind: the kind udp has its own."""
    return UDP if targets == UDP else STANDARD


def distances(size: tuple[int, int], geometry: Geometry = STANDARD) -> Array:
    """(x, y): how much there is between the edges of an image or heatmap of (height, width)."""
    if geometry not in GEOMETRIES:
        raise HRNetError(f"geometry must be one of {', '.join(GEOMETRIES)}, got {geometry!r}")
    return np.array(size[::-1], np.float64) - (geometry == UDP)


def heatmap_pixel(input_size: tuple[int, int], geometry: Geometry = STANDARD) -> Array:
    """(x, y): how many input pixels a heatmap pixel is."""
    height, width = (side // HEATMAP_STRIDE for side in input_size)
    return np.asarray(distances(input_size, geometry) / distances((height, width), geometry), np.float64)


def checked_box(box: Any, where: str) -> tuple[float, float, float, float]:
    """A box (x, y, width, height) of four finite numbers with an area; else HRNetError, which begins with `where`."""
    try:
        if any(isinstance(value, str | bool) for value in box):
            raise TypeError
        x, y, width, height = map(float, box)
    except (TypeError, ValueError, OverflowError):
        raise HRNetError(f"{where}: bbox must be [x, y, width, height], got {brief(box)}") from None
    if not max(map(abs, (x, y, width, height))) <= FURTHEST_PX or math.isnan(x + y + width + height):
        raise HRNetError(f"{where}: bbox must be finite and within {FURTHEST_PX:,.0f} pixels, got {brief(box)}")
    if not (width > 0 and height > 0):
        raise HRNetError(f"{where}: bbox {box} has no area")
    return x, y, width, height


def expand_box(box: Numbers, input_size: tuple[int, int], padding: float = BOX_PADDING) -> tuple[Array, Array]:
    """Centre (x, y) and extent (width, height) of a box extended to the aspect ratio of `input_size` and padded."""
    x, y, width, height = map(float, box)
    aspect = input_size[1] / input_size[0]
    extent = np.array([max(width, height * aspect) * padding, max(height, width / aspect) * padding])
    return np.array([x + width / 2, y + height / 2]), extent


def crop_matrix(
    center: Numbers, extent: Numbers, input_size: tuple[int, int], rotation: float = 0.0, geometry: Geometry = STANDARD
) -> Array:
    """2x3 affine matrix from image to crop pixels; `rotation` in radians turns the content clockwise on screen.

    In STANDARD the extent's width alone sets the scale; in UDP each side has its own, which nearly are the same.
    """
    length = distances(input_size, geometry)
    scale = length / np.asarray(extent, np.float64) if geometry == UDP else np.full(2, length[0] / float(extent[0]))
    cos, sin = math.cos(rotation), math.sin(rotation)
    linear = scale[:, None] * np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, length / 2 - linear @ np.asarray(center, np.float64)])


def box_matrix(box: Numbers, input_size: tuple[int, int], geometry: Geometry = STANDARD) -> Array:
    """2x3 affine matrix from image to crop pixels for a person's box, without augmentation."""
    return crop_matrix(*expand_box(box, input_size), input_size, geometry=geometry)


def mirrored(matrix: Array, input_size: tuple[int, int], geometry: Geometry = STANDARD) -> Array:
    """The 2x3 matrix to the crop's mirror image: x becomes the width less x, in UDP the last pixel's place less x."""
    return np.stack([[0.0, 0.0, distances(input_size, geometry)[0]] - matrix[0], matrix[1]])


def invert(matrix: Array) -> Array:
    """The 2x3 matrix that undoes a 2x3 affine matrix."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def transform_points(points: ArrayLike, matrix: Array) -> Array:
    """Points (..., 2) through a 2x3 affine matrix."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
