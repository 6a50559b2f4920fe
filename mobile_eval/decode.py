"""From heatmaps to keypoints (official HRNet decoding: argmax and a quarter pixel towards the higher neighbour)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.geometry import Array, invert, transform_points

HEATMAP_STRIDE = 4
DARK_KERNEL = 11
LEAST = np.float32(1e-10)  # of what a logarithm is taken
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

    Smoothed as the Gaussians they are trained to be (kernel 11, the peak's height kept), their logarithm is a paraboloid,
    whose top follows from first and second differences at the maximum. Maxima at the border stay where they are.
    """
    count, height, width, joints = heatmaps.shape
    flat = heatmaps.reshape(count, height * width, joints)
    best = flat.argmax(axis=1)
    score = np.take_along_axis(flat, best[:, None], axis=1)[:, 0].astype(np.float64)
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


def _smoothed(heatmaps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blurred by a Gaussian, each map with its maximum as it was."""
    blurred = np.stack([cv2.GaussianBlur(maps, (DARK_KERNEL, DARK_KERNEL), 0).reshape(maps.shape) for maps in heatmaps])
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


def keypoints_in_image(decoded: Array, matrices: Array) -> Array:
    """Decoded keypoints (N, K, 3) from heatmap to image pixels; `matrices` (N, 2, 3) go from image to crop."""
    points = [transform_points(k[:, :2] * HEATMAP_STRIDE, invert(m)) for k, m in zip(decoded, matrices, strict=True)]
    return np.concatenate([np.reshape(points, (*decoded.shape[:2], 2)), decoded[..., 2:]], axis=-1)
