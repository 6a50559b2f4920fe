"""Keypoints from heatmaps: the official decoding, DARK and UDP.

A `Decoding` names the way to the position within a pixel:

quarter   A quarter pixel towards the higher neighbor of the maximum, as in the official HRNet code.
dark      Taylor expansion of the logarithm around the maximum (arXiv 1910.06278).
udp       One Newton step on the logarithm, for networks of the UDP geometry (arXiv 1911.07524).
model     The one that the network was trained for: `udp` in the UDP geometry, else `quarter`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.image.geometry import HEATMAP_STRIDE, UDP, Array, Geometry, invert, transform_points

Decoding = Literal["model", "quarter", "dark", "udp"]
Heatmaps = NDArray[np.float32]

BLUR_KERNEL = 11  # pixels
MIN_HEAT = np.float32(1e-10)  # DARK takes no logarithm of smaller values,
UDP_HEAT_RANGE = (np.float32(1e-3), np.float32(50))  # and UDP none outside of these
UDP_EPSILON = float(np.finfo(np.float32).eps)  # added to the diagonal of the Hessian
QUARTERS = 4  # positions of the official decoding within a pixel


def decode_heatmaps(
    heatmaps: NDArray[np.generic], dequantize: Callable[[NDArray[np.generic]], NDArray[np.float32]] | None = None
) -> Array:
    """Decode heatmaps as the official code: the maximum, moved by a quarter pixel towards its higher neighbor.

    Args:
        heatmaps: Heatmaps (N, H, W, K), as real numbers or as a model stores them.
        dequantize: Turns stored values into real ones. Only the maxima need it.

    Returns:
        Keypoints (N, K, 3): x and y in heatmap pixels, and the maximum as score. Where the score is not positive, x and y
        are 0, as in the official code.
    """
    count, height, width, keypoints = heatmaps.shape
    flat = heatmaps.reshape(count, height * width, keypoints)
    index = flat.argmax(axis=1)
    y, x = np.divmod(index, width)
    inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    neighborhood = index[..., None] + np.array([0, 1, -1, width, -width])  # partly beyond the border where it is not used
    images, maps = np.arange(count)[:, None, None], np.arange(keypoints)[:, None]
    values = flat[images, neighborhood.clip(0, height * width - 1), maps]
    peaks = values[..., 0]
    scores = (dequantize(peaks) if dequantize else peaks).astype(np.float64)
    before, after = values[..., 2::2], values[..., 1::2]
    direction = np.greater(after, before).astype(np.float64) - np.less(after, before)
    return _keypoints(np.stack([x, y], axis=-1) + direction * inside[..., None] / QUARTERS, scores)


def decode_dark(heatmaps: Heatmaps) -> Array:
    """Decode heatmaps by DARK (Zhang et al., arXiv 1910.06278).

    The maps are blurred into the Gaussians that they are trained to be (kernel 11, zeros around the map, the height of the
    peak kept). The logarithm of a Gaussian is a paraboloid, whose vertex follows from the first and second differences at
    the maximum. A maximum within two pixels of the border is not moved, as in the official code.

    Args:
        heatmaps: Heatmaps (N, H, W, K).

    Returns:
        Keypoints (N, K, 3), as `decode_heatmaps` returns them.
    """
    count, height, width, keypoints = heatmaps.shape
    peak, scores = _maxima(heatmaps)
    y, x = np.divmod(peak, width)
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    logs = np.log(np.maximum(_blurred(heatmaps), MIN_HEAT)).reshape(count, height * width, keypoints)
    index = np.where(inside, peak, 2 * width + 2)  # any pixel with all neighbors will do where the result is not used

    def at(dx: int, dy: int) -> Array:
        return np.take_along_axis(logs, (index + dx + width * dy)[:, None], axis=1)[:, 0].astype(np.float64)

    gradient = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx, dyy = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4, (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
    dxy = (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
    step, regular = _newton_step(gradient, dxx, dyy, dxy)
    return _keypoints(np.stack([x, y], axis=-1) + step * (inside & regular)[..., None], scores)


def decode_udp(heatmaps: Heatmaps) -> Array:
    """Decode heatmaps of the UDP geometry, as mmpose does (Huang et al., arXiv 1911.07524).

    One Newton step on the logarithm of the blurred map, also at the border, where the map is continued by its edge. A step
    beyond the blur's kernel says nothing about the maximum, so the maximum is not moved; mmpose takes any step.

    Args:
        heatmaps: Heatmaps (N, H, W, K).

    Returns:
        Keypoints (N, K, 3), as `decode_heatmaps` returns them.
    """
    count, height, width, keypoints = heatmaps.shape
    peak, scores = _maxima(heatmaps)
    y, x = np.divmod(peak, width)
    logs = np.log(np.clip(_blurred(heatmaps), *UDP_HEAT_RANGE)).reshape(count, height * width, keypoints)

    def at(dx: int, dy: int) -> Array:
        index = (x + dx).clip(0, width - 1) + width * (y + dy).clip(0, height - 1)
        return np.take_along_axis(logs, index[:, None], axis=1)[:, 0].astype(np.float64)

    center, left, right, above, below = at(0, 0), at(-1, 0), at(1, 0), at(0, -1), at(0, 1)
    dxx, dyy = right - 2 * center + left + UDP_EPSILON, below - 2 * center + above + UDP_EPSILON
    dxy = (at(1, 1) - right - below + 2 * center - left - above + at(-1, -1)) / 2
    step, regular = _newton_step(((right - left) / 2, (below - above) / 2), dxx, dyy, dxy)
    usable = regular & np.all(np.abs(step) <= BLUR_KERNEL // 2, axis=-1)
    return _keypoints(np.stack([x, y], axis=-1) + step * usable[..., None], scores)


def decode_by_geometry(heatmaps: Heatmaps, geometry: Geometry) -> Array:
    """Decode heatmaps (N, H, W, K) as networks of that geometry are decoded, to keypoints (N, K, 3)."""
    return decode_udp(heatmaps) if geometry == UDP else decode_heatmaps(heatmaps)


def decoded_in_graph(locations: NDArray[np.int32], scores: NDArray[np.float32]) -> Array:
    """Convert the outputs of a model with decoding in its graph.

    Args:
        locations: Locations (N, K, 2): x and y in quarters of a heatmap pixel.
        scores: Scores (N, K).

    Returns:
        Keypoints (N, K, 3), as `decode_heatmaps` returns them.
    """
    return _keypoints(locations / QUARTERS, scores.astype(np.float64))


def keypoints_in_image(keypoints: Array, matrices: Array, pixel: Array | float = HEATMAP_STRIDE) -> Array:
    """Transform decoded keypoints from heatmap to image pixels.

    Args:
        keypoints: Keypoints (N, K, 3): x and y in heatmap pixels, and score.
        matrices: Affine matrices (N, 2, 3) from image to crop.
        pixel: Size of a heatmap pixel in crop pixels (see `geometry.heatmap_pixel`).

    Returns:
        Keypoints (N, K, 3): x and y in image pixels, and score.
    """
    points = [transform_points(k[:, :2] * pixel, invert(m)) for k, m in zip(keypoints, matrices, strict=True)]
    return np.concatenate([np.reshape(points, (*keypoints.shape[:2], 2)), keypoints[..., 2:]], axis=-1)


def _maxima(heatmaps: Heatmaps) -> tuple[NDArray[np.intp], Array]:
    """Return the index (N, K) of each map's maximum in the flattened map, and the maximum (N, K)."""
    count, height, width, keypoints = heatmaps.shape
    flat = heatmaps.reshape(count, height * width, keypoints)
    index = flat.argmax(axis=1)
    return index, np.take_along_axis(flat, index[:, None], axis=1)[:, 0].astype(np.float64)


def _blurred(heatmaps: Heatmaps) -> Heatmaps:
    """Blur by a Gaussian with zeros around the map, and scale each map so that its maximum stays the same."""
    kernel, zeros = (BLUR_KERNEL, BLUR_KERNEL), cv2.BORDER_CONSTANT
    blurred = np.stack([cv2.GaussianBlur(maps, kernel, 0, borderType=zeros).reshape(maps.shape) for maps in heatmaps])
    before, after = heatmaps.max(axis=(1, 2), keepdims=True), blurred.max(axis=(1, 2), keepdims=True)
    return np.asarray(blurred * (before / np.maximum(after, MIN_HEAT)), np.float32)


def _newton_step(gradient: tuple[Array, Array], dxx: Array, dyy: Array, dxy: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return the steps (N, K, 2) to the vertices of paraboloids, and where (N, K) the Hessian is regular."""
    dx, dy = gradient
    determinant = dxx * dyy - dxy**2
    regular = determinant != 0
    safe = np.where(regular, determinant, 1.0)
    return np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=-1) / safe[..., None], regular


def _keypoints(points: Array, scores: Array) -> Array:
    """Join points (N, K, 2) and scores (N, K); points without a positive score are set to 0."""
    return np.concatenate([points * (scores > 0)[..., None], scores[..., None]], axis=-1)
