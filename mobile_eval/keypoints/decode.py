"""From heatmaps to keypoints (official HRNet decoding: argmax and a quarter pixel towards the higher neighbour).

Decoding that knows the heatmaps are Gaussian is DARK's (arXiv 1910.06278), or as networks of the geometry UDP are decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.image.geometry import HEATMAP_STRIDE, UDP, Array, Geometry, invert, transform_points

DARK_KERNEL = 11
LEAST = np.float32(1e-10)  # of what a logarithm is taken
UDP_RANGE = (np.float32(1e-3), np.float32(50))  # of what it is taken by UDP's decoding
UDP_EPSILON = float(np.finfo(np.float32).eps)  # added to the second differences
QUARTERS = 4  # a keypoint lies on a quarter of a heatmap pixel


def decode_heatmaps(heatmaps: NDArray[Any], real: Callable[[NDArray[Any]], NDArray[Any]] | None = None) -> Array:
    """Heatmaps (N, H, W, K) to (N, K, 3): x and y in heatmap pixels, and the maximum as score.

    Joints whose maximum is not positive get (0, 0), as in the official code. Heatmaps may be as a model stores them:
    then `real` makes real values of the maxima, the only ones that need be.
    """
    count, height, width, joints = heatmaps.shape
    flat = heatmaps.reshape(count, height * width, joints)
    best = flat.argmax(axis=1)
    y, x = np.divmod(best, width)
    inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    places = best[..., None] + np.array([0, 1, -1, width, -width])  # some beyond the border, for those that are not used
    images, maps = np.arange(count)[:, None, None], np.arange(joints)[:, None]
    values = flat[images, places.clip(0, height * width - 1), maps]
    peaks = values[..., 0]
    score = (real(peaks) if real else peaks).astype(np.float64)
    before, behind = values[..., 2::2], values[..., 1::2]
    towards = (behind > before).astype(np.float64) - (behind < before)
    points = np.stack([x, y], axis=-1) + towards * inside[..., None] / QUARTERS
    return _found(points, score)


def decode_dark(heatmaps: NDArray[np.float32]) -> Array:
    """Heatmaps (N, H, W, K) to (N, K, 3) as `decode_heatmaps`, with the place by Taylor's formula (DARK, arXiv 1910.06278).

    Smoothed as the Gaussians they are trained to be (kernel 11, zeros around the map, the peak's height kept), their logarithm
    is a paraboloid, whose top follows from first and second differences at the maximum. A maximum within two pixels of the
    border stays where it is, as in the official code.
    """
    count, height, width, joints = heatmaps.shape
    best, score = _maxima(heatmaps)
    y, x = np.divmod(best, width)
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    logs = np.log(np.maximum(_smoothed(heatmaps), LEAST)).reshape(count, height * width, joints)
    index = np.where(inside, best, 2 * width + 2)  # any place with such neighbours, for those that are not used

    def at(dx: int, dy: int) -> Array:
        return np.take_along_axis(logs, (index + dx + width * dy)[:, None], axis=1)[:, 0].astype(np.float64)

    slope_x, slope_y = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    bend_x, bend_y = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4, (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
    twist = (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
    determinant = bend_x * bend_y - twist**2
    usable = inside & (determinant != 0)
    safe = np.where(usable, determinant, 1.0)
    moves = np.stack([twist * slope_y - bend_y * slope_x, twist * slope_x - bend_x * slope_y], axis=-1) / safe[..., None]
    return _found(np.stack([x, y], axis=-1) + moves * usable[..., None], score)


def decode_udp(heatmaps: NDArray[np.float32]) -> Array:
    """Heatmaps (N, H, W, K) to (N, K, 3) as `decode_dark`, as mmpose decodes the networks of UDP (arXiv 1911.07524).

    One Newton step by differences of neighbours, at the border too, where the map goes on as it ends. A step that leaves the
    smoothing kernel says nothing about the maximum, which then stays where it is; mmpose takes it, however far it leads.
    """
    count, height, width, joints = heatmaps.shape
    best, score = _maxima(heatmaps)
    y, x = np.divmod(best, width)
    logs = np.log(np.clip(_smoothed(heatmaps), *UDP_RANGE)).reshape(count, height * width, joints)

    def at(dx: int, dy: int) -> Array:
        index = (x + dx).clip(0, width - 1) + width * (y + dy).clip(0, height - 1)
        return np.take_along_axis(logs, index[:, None], axis=1)[:, 0].astype(np.float64)

    top, left, right, above, below = at(0, 0), at(-1, 0), at(1, 0), at(0, -1), at(0, 1)
    slope_x, slope_y = (right - left) / 2, (below - above) / 2
    bend_x, bend_y = right - 2 * top + left + UDP_EPSILON, below - 2 * top + above + UDP_EPSILON
    twist = (at(1, 1) - right - below + 2 * top - left - above + at(-1, -1)) / 2
    determinant = bend_x * bend_y - twist**2
    safe = np.where(determinant != 0, determinant, 1.0)
    moves = np.stack([twist * slope_y - bend_y * slope_x, twist * slope_x - bend_x * slope_y], axis=-1) / safe[..., None]
    usable = (determinant != 0) & np.all(np.abs(moves) <= DARK_KERNEL // 2, axis=-1)
    return _found(np.stack([x, y], axis=-1) + moves * usable[..., None], score)


def decode_own(heatmaps: NDArray[np.float32], geometry: Geometry) -> Array:
    """Heatmaps (N, H, W, K) to (N, K, 3) by the decoding of that geometry."""
    return decode_udp(heatmaps) if geometry == UDP else decode_heatmaps(heatmaps)


def _maxima(heatmaps: NDArray[np.float32]) -> tuple[NDArray[np.intp], Array]:
    """Where each map (N, K) is largest, as an index into its rows, and how large it is there."""
    count, height, width, joints = heatmaps.shape
    flat = heatmaps.reshape(count, height * width, joints)
    best = flat.argmax(axis=1)
    return best, np.take_along_axis(flat, best[:, None], axis=1)[:, 0].astype(np.float64)


def _smoothed(heatmaps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blurred by a Gaussian with zeros around the map, each map with its maximum as it was."""
    kernel, zeros = (DARK_KERNEL, DARK_KERNEL), cv2.BORDER_CONSTANT
    blurred = np.stack([cv2.GaussianBlur(maps, kernel, 0, borderType=zeros).reshape(maps.shape) for maps in heatmaps])
    before, after = heatmaps.max(axis=(1, 2), keepdims=True), blurred.max(axis=(1, 2), keepdims=True)
    return np.asarray(blurred * (before / np.maximum(after, LEAST)), np.float32)


def decoded_in_graph(locations: NDArray[np.int32], scores: NDArray[Any]) -> Array:
    """What a model with decoding in its graph gives out, as `decode_heatmaps` gives it.

    `locations` (N, K, 2) are in quarters of a heatmap pixel, `scores` (N, K) real values.
    """
    return _found(locations / QUARTERS, scores.astype(np.float64))


def _found(points: Array, score: Array) -> Array:
    points = points * (score > 0)[..., None]
    return np.concatenate([points, score[..., None]], axis=-1)


def keypoints_in_image(decoded: Array, matrices: Array, pixel: Array | float = HEATMAP_STRIDE) -> Array:
    """Decoded keypoints (N, K, 3) from heatmap to image pixels; `matrices` (N, 2, 3) go from image to crop.

    `pixel` is what `geometry.heatmap_pixel` says.
    """
    points = [transform_points(k[:, :2] * pixel, invert(m)) for k, m in zip(decoded, matrices, strict=True)]
    return np.concatenate([np.reshape(points, (*decoded.shape[:2], 2)), decoded[..., 2:]], axis=-1)
