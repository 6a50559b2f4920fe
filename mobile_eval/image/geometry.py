"""Boxes, crops, and the affine warps between images, network inputs and heatmaps; every other room takes them from here.

Points are (x, y) in pixels, sizes (height, width), boxes COCO's (x, y, width, height). Crops follow the official HRNet code: a
box is extended to the aspect ratio of the input and padded, and its center becomes the center of the input.

A `Geometry` says how the length of a side is counted:

standard   In pixels, as in the official code: a heatmap pixel is as many input pixels as the stride, HEATMAP_STRIDE by default.
udp        In steps between pixel centers, one fewer than pixels: the box's edges become the centers of the input's outermost
           pixels, and these the centers of the heatmap's. Mirroring an input mirrors its heatmaps exactly (arXiv 1911.07524).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.typed import Size, brief

Box = tuple[float, float, float, float]  # (x, y, width, height) in pixels
Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Numbers = Sequence[float] | Array
Geometry = Literal["standard", "udp"]

BOX_PADDING = 1.25
HEATMAP_STRIDE = 4
MAX_COORDINATE = 1e6  # pixels; no image is larger
STANDARD: Final = "standard"
UDP: Final = "udp"
GEOMETRIES: tuple[Geometry, ...] = get_args(Geometry)


def geometry_of(targets: object) -> Geometry:
    """Return the geometry of a network that was trained on heatmaps of that kind; only "udp" has its own."""
    return UDP if targets == UDP else STANDARD


def distances(size: Size, geometry: Geometry = STANDARD) -> Array:
    """Measure the sides of an image or heatmap.

    Args:
        size: Height and width in pixels.
        geometry: How sides are counted.

    Returns:
        The lengths (x, y): pixels, or in UDP one fewer.
    """
    if geometry not in GEOMETRIES:
        raise HRNetError(f"`geometry` must be one of {', '.join(GEOMETRIES)}, got {geometry!r}")
    return np.array(size[::-1], np.float64) - (geometry == UDP)


def heatmap_pixel(input_size: Size, geometry: Geometry = STANDARD, stride: int = HEATMAP_STRIDE) -> Array:
    """Return the size (x, y) of a heatmap pixel in input pixels, for heatmaps that are smaller than the input by `stride`."""
    height, width = (side // stride for side in input_size)
    return np.asarray(distances(input_size, geometry) / distances((height, width), geometry), np.float64)


def checked_box(value: object, where: str) -> Box:
    """Check a box from a file.

    Args:
        value: The box, as JSON gives it.
        where: Place in the file; the message begins with it.

    Returns:
        The box (x, y, width, height).

    Raises:
        HRNetError: It is not four finite numbers within a million pixels, or has no area.
    """
    try:
        if not isinstance(value, Sequence | np.ndarray) or any(isinstance(number, str | bool) for number in value):
            raise TypeError
        x, y, width, height = map(float, value)
    except (TypeError, ValueError, OverflowError):
        raise HRNetError(f"{where}: bbox must be [x, y, width, height], got {brief(value)}") from None
    if not max(map(abs, (x, y, width, height))) <= MAX_COORDINATE or math.isnan(x + y + width + height):
        raise HRNetError(f"{where}: bbox must be finite and within {MAX_COORDINATE:,.0f} pixels, got {brief(value)}")
    if not (width > 0 and height > 0):
        raise HRNetError(f"{where}: bbox {brief(value)} has no area")
    return x, y, width, height


def expand_box(box: Numbers, input_size: Size, padding: float = BOX_PADDING) -> tuple[Array, Array]:
    """Extend a box to the aspect ratio of a network's input, and pad it.

    Args:
        box: Box (x, y, width, height).
        input_size: Height and width of the input.
        padding: Factor by which the extended box grows.

    Returns:
        Center (x, y) and extent (width, height).
    """
    x, y, width, height = map(float, box)
    aspect = input_size[1] / input_size[0]
    extent = np.array([max(width, height * aspect) * padding, max(height, width / aspect) * padding])
    return np.array([x + width / 2, y + height / 2]), extent


def crop_matrix(
    center: Numbers, extent: Numbers, input_size: Size, rotation: float = 0.0, geometry: Geometry = STANDARD
) -> Array:
    """Return the affine matrix from image to crop pixels.

    Args:
        center: Center (x, y) of the crop in the image.
        extent: Width and height of the crop in the image. In the standard geometry the width alone sets the scale; in UDP each
            side has its own, almost the same.
        input_size: Height and width of the crop in pixels.
        rotation: Angle in radians by which the content is turned clockwise on screen.
        geometry: How sides are counted.

    Returns:
        Matrix (2, 3).
    """
    length = distances(input_size, geometry)
    scale = length / np.asarray(extent, np.float64) if geometry == UDP else np.full(2, length[0] / float(extent[0]))
    cos, sin = math.cos(rotation), math.sin(rotation)
    linear = scale[:, None] * np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, length / 2 - linear @ np.asarray(center, np.float64)])


def box_matrix(box: Numbers, input_size: Size, geometry: Geometry = STANDARD) -> Array:
    """Return the affine matrix (2, 3) from image to crop pixels for a box (x, y, width, height), without augmentation."""
    return crop_matrix(*expand_box(box, input_size), input_size, geometry=geometry)


def mirrored(matrix: Array, input_size: Size, geometry: Geometry = STANDARD) -> Array:
    """Return the matrix (2, 3) from the image to the mirror image of the crop that `matrix` (2, 3) makes."""
    return np.stack([[0.0, 0.0, distances(input_size, geometry)[0]] - matrix[0], matrix[1]])


def invert(matrix: Array) -> Array:
    """Return the inverse (2, 3) of an affine matrix (2, 3)."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def transform_points(points: ArrayLike, matrix: Array) -> Array:
    """Apply an affine matrix (2, 3) to points (..., 2)."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
