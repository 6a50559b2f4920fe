"""From heatmaps to keypoints (official HRNet decoding: argmax and a quarter pixel towards the higher neighbour)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.geometry import Array, invert, transform_points

HEATMAP_STRIDE = 4
QUARTERS = 4  # a keypoint lies on a quarter of a heatmap pixel


def decode_heatmaps(heatmaps: NDArray[Any], real: Callable[[NDArray[Any]], NDArray[Any]] | None = None) -> Array:
    """Heatmaps (N, H, W, K) to (N, K, 3): x and y in heatmap pixels, and the maximum as score.

    Joints whose maximum is not positive get (0, 0), as in the official code. Heatmaps may be as a model stores them:
    then `real` makes real values of the maxima, the only ones that need be.
    """
    count, height, width, joints = heatmaps.shape
    flat = heatmaps.reshape(count, height * width, joints)
    best = flat.argmax(axis=1)
    peaks = np.take_along_axis(flat, best[:, None], axis=1)[:, 0]
    score = (real(peaks) if real else peaks).astype(np.float64)
    y, x = np.divmod(best, width)
    inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    index = np.where(inside, best, width + 1)  # any place with four neighbours, for those that are not used

    def at(offset: int) -> Array:
        return np.take_along_axis(flat, (index + offset)[:, None], axis=1)[:, 0].astype(np.float64)

    points = np.stack([x, y], axis=-1).astype(np.float64)
    towards = np.sign(np.stack([at(1) - at(-1), at(width) - at(-width)], axis=-1))
    points += towards * inside[..., None] / QUARTERS
    return _found(points, score)


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
