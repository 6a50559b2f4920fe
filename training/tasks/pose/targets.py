"""Heatmaps to learn: a Gaussian of peak 1 at each joint, in one of three ways.

official    at the joint's place rounded to a heatmap pixel, in a window of 6 sigma + 1 (official pose code base)
dark        at the exact place, over the whole map (DARK, arXiv 1910.06278)
udp         the same in the geometry UDP, which crops and decoding are then in too (arXiv 1911.07524)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import HEATMAP_STRIDE, Array, Geometry, geometry_of, heatmap_pixel, transform_points

KINDS = ("official", "dark", "udp")
REACH = 3  # the official window's half width, in sigmas


@dataclass(frozen=True)
class HeatmapTargets:
    """The kind of target and its Gaussian's standard deviation, in heatmap pixels."""

    kind: str = "official"
    sigma: float = 2.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise HRNetError(f"targets must be one of {', '.join(KINDS)}, got {self.kind!r}")

    @property
    def geometry(self) -> Geometry:
        """The geometry of the crops that they are for."""
        return geometry_of(self.kind)


def heatmap_target(
    keypoints: Array,
    matrix: Array,
    size: tuple[int, int],
    targets: HeatmapTargets,
    out: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heatmaps (H/4, W/4, K) of keypoints (K, 3) in image pixels, and weights (K,); `size` is (H/4, W/4).

    A weight is 0 where the joint is not labelled or, official, its window misses the map; dark and udp, its place does.
    `out` is where the heatmaps go, if given.
    """
    height, width = size
    input_size = (height * HEATMAP_STRIDE, width * HEATMAP_STRIDE)
    place = transform_points(keypoints[:, :2], matrix) / heatmap_pixel(input_size, targets.geometry)
    if targets.kind == "official":
        place = np.trunc(place + 0.5)
        reach = np.floor(REACH * targets.sigma)
        inside = np.all((place >= -reach) & (place <= [width - 1 + reach, height - 1 + reach]), axis=1)
    else:
        reach = np.inf
        inside = np.all((place > -0.5) & (place < [width - 0.5, height - 0.5]), axis=1)
    weights = np.asarray((keypoints[:, 2] > 0) & inside, np.float32)
    columns = _bell(width, place[:, 0], targets.sigma, reach)
    rows = _bell(height, place[:, 1], targets.sigma, reach) * weights
    return np.multiply(rows[:, None], columns[None], out), weights


def _bell(length: int, place: Array, sigma: float, reach: float) -> NDArray[np.float32]:
    """One side (length, K) of Gaussians, which are products of their sides."""
    distance = np.arange(length)[:, None] - place
    return np.asarray(np.exp(distance**2 / (-2 * sigma**2)) * (np.abs(distance) <= reach), np.float32)
