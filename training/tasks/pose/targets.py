"""Target heatmaps: a Gaussian with a peak of 1 at each joint, in one of three ways.

official    at the joint rounded to a heatmap pixel, in a window of 6 sigma + 1 (official pose code)
dark        at the exact joint, over the full map (DARK, arXiv 1910.06278)
udp         the same in the UDP geometry, which crops and decoding then use too (arXiv 1911.07524)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hrnet_tf.spec.presets import InputSize, as_size
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import HEATMAP_STRIDE, Array, Geometry, geometry_of, heatmap_pixel, transform_points
from training.tasks.pose.settings import TARGETS

OFFICIAL_REACH = 3  # half width of the official window, in sigmas


@dataclass(frozen=True)
class HeatmapTargets:
    """How target heatmaps are made.

    Args:
        kind: official, dark or udp.
        sigma: Standard deviation of the Gaussians, in heatmap pixels.
    """

    kind: str = "official"
    sigma: float = 2.0

    def __post_init__(self) -> None:
        if self.kind not in TARGETS:
            raise HRNetError(f"`targets` must be one of {', '.join(TARGETS)}, got {self.kind!r}")

    @property
    def geometry(self) -> Geometry:
        """Geometry of the crops that go with these targets."""
        return geometry_of(self.kind)


def heatmap_target(
    keypoints: Array,
    matrix: Array,
    size: tuple[int, int],
    targets: HeatmapTargets,
    out: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make the target heatmaps of a crop.

    Args:
        keypoints: Keypoints (K, 3) in image pixels.
        matrix: Matrix (2, 3) from image to crop pixels.
        size: Height and width of the heatmaps, H/4 and W/4.
        targets: How they are made.
        out: Array to write the heatmaps to; None for a new one.

    Returns:
        Heatmaps (H/4, W/4, K) and weights (K,). A weight is 0 where the joint is not labelled or not on the map: for official
        targets where its window misses the map, for dark and udp where the joint itself does.
    """
    height, width = size
    input_size = (height * HEATMAP_STRIDE, width * HEATMAP_STRIDE)
    centers = transform_points(keypoints[:, :2], matrix) / heatmap_pixel(input_size, targets.geometry)
    if targets.kind == "official":
        centers = np.trunc(centers + 0.5)
        reach = np.floor(OFFICIAL_REACH * targets.sigma)
        inside = np.all((centers >= -reach) & (centers <= [width - 1 + reach, height - 1 + reach]), axis=1)
    else:
        reach = np.inf
        inside = np.all((centers > -0.5) & (centers < [width - 0.5, height - 0.5]), axis=1)
    weights = np.asarray((keypoints[:, 2] > 0) & inside, np.float32)
    columns = _gaussian(width, centers[:, 0], targets.sigma, reach)
    rows = _gaussian(height, centers[:, 1], targets.sigma, reach) * weights
    return np.multiply(rows[:, None], columns[None], out), weights


def heatmap_targets(
    keypoints: ArrayLike, input_size: InputSize, *, sigma: float = 2.0, kind: str = "dark"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make the heatmaps that a network is to learn, and the weights that leave out what is not labelled.

    Args:
        keypoints: Key points (N, K, 3) as x, y and visibility, in pixels of the input images; or (N, K, 2), all visible. A
            visibility of 0 means that the key point is not labelled.
        input_size: (height, width) of the input images in pixels, one number for both, or "256x192".
        sigma: Standard deviation of the Gaussians, in heatmap pixels.
        kind: "dark" (at the exact key point) or "official" (at the nearest heatmap pixel). "udp" needs crops of its own geometry.

    Returns:
        Heatmaps (N, H/4, W/4, K), targets of `losses.HeatmapMSE`, and weights (N, 1, 1, K), its sample weights.

    Raises:
        HRNetError: The key points have another shape, or the kind or the size is unknown.

    Example:
        >>> heatmaps, weights = heatmap_targets([[[32, 16], [0, 60]]], 64)
        >>> heatmaps.shape, heatmaps[0, 4, 8].round(2).tolist(), weights.ravel().tolist()
        ((1, 16, 16, 2), [1.0, 0.0], [1.0, 1.0])
    """
    points, (height, width) = np.asarray(keypoints, np.float64), as_size(input_size)
    if points.ndim != 3 or points.shape[-1] not in (2, 3):
        raise HRNetError(f"`keypoints` must be (N, K, 3) or (N, K, 2), got {points.shape}")
    if points.shape[-1] == 2:
        points = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
    targets, identity = HeatmapTargets(kind, sigma), np.eye(2, 3)
    maps, weights = np.empty((len(points), height // HEATMAP_STRIDE, width // HEATMAP_STRIDE, points.shape[1]), np.float32), []
    for instance, out in zip(points, maps, strict=True):
        weights.append(heatmap_target(instance, identity, out.shape[:2], targets, out)[1])
    return maps, np.asarray(weights, np.float32).reshape(len(points), 1, 1, points.shape[1])


def _gaussian(length: int, centers: Array, sigma: float, reach: float) -> NDArray[np.float32]:
    """One axis (length, K) of the Gaussians, which are separable."""
    distance = np.arange(length)[:, None] - centers
    return np.asarray(np.exp(distance**2 / (-2 * sigma**2)) * (np.abs(distance) <= reach), np.float32)
