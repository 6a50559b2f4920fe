"""DARK and UDP decoding against the official formulas, written as plain loops without opencv.

DARK: `gaussian_blur`, `taylor` and `get_final_preds` of DARK-Pose (lib/core/inference.py; mmpose's `refine_keypoints_dark` is the
same). UDP: mmpose's `refine_keypoints_dark_udp`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mobile_eval.image.geometry import UDP
from mobile_eval.keypoints.decode import decode_by_geometry, decode_dark, decode_heatmaps, decode_udp
from tests.mobile_eval.heatmaps import gaussian

HEIGHT, WIDTH = 32, 24
RADIUS, SIGMA = 5, 2.0  # opencv's Gaussian kernel of 11 pixels: 0.3 * ((11 - 1) / 2 - 1) + 0.8
REACH = 5.0  # longest step that the package's UDP decoding takes


def official_blur(heatmap: NDArray[np.float32]) -> NDArray[np.float64]:
    """Blur one map (H, W), padded with zeros, and restore its maximum."""
    height, width = heatmap.shape
    kernel = [math.exp(-((i - RADIUS) ** 2) / (2 * SIGMA**2)) for i in range(2 * RADIUS + 1)]
    kernel = [weight / sum(kernel) for weight in kernel]
    padded = np.zeros((height + 2 * RADIUS, width + 2 * RADIUS))
    padded[RADIUS:-RADIUS, RADIUS:-RADIUS] = heatmap
    along = np.zeros((height + 2 * RADIUS, width))
    for column in range(width):
        for i, weight in enumerate(kernel):
            along[:, column] += weight * padded[:, column + i]
    blurred = np.zeros((height, width))
    for row in range(height):
        for i, weight in enumerate(kernel):
            blurred[row] += weight * along[row + i]
    return blurred * (heatmap.max() / blurred.max())


def official_dark(heatmap: NDArray[np.float32]) -> tuple[float, float]:
    """Place (x, y) of one map (H, W) with a positive maximum."""
    height, width = heatmap.shape
    y, x = map(int, np.unravel_index(heatmap.argmax(), heatmap.shape))
    log = np.log(np.maximum(official_blur(heatmap), 1e-10))
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return x, y
    dx, dy = 0.5 * (log[y, x + 1] - log[y, x - 1]), 0.5 * (log[y + 1, x] - log[y - 1, x])
    dxx = 0.25 * (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2])
    dyy = 0.25 * (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x])
    dxy = 0.25 * (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1])
    if dxx * dyy - dxy**2 == 0:
        return x, y
    move = -np.linalg.inv([[dxx, dxy], [dxy, dyy]]) @ [dx, dy]
    return x + move[0], y + move[1]


def official_udp(heatmap: NDArray[np.float32]) -> tuple[float, float]:
    """Place (x, y) of one map (H, W) with a positive maximum; that of the maximum where the step exceeds REACH."""
    y, x = map(int, np.unravel_index(heatmap.argmax(), heatmap.shape))
    log = np.pad(np.log(np.clip(official_blur(heatmap), 1e-3, 50)), 1, mode="edge")
    centre, right, below, left, above = (log[y + 1 + b, x + 1 + a] for a, b in ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1)))
    twist = 0.5 * (log[y + 2, x + 2] - right - below + centre + centre - left - above + log[y, x])
    hessian = np.array([[right - 2 * centre + left, twist], [twist, below - 2 * centre + above]])
    slope = 0.5 * np.array([right - left, below - above])
    move = -np.linalg.inv(hessian + np.finfo(np.float32).eps * np.eye(2)) @ slope
    return (x + move[0], y + move[1]) if np.abs(move).max() <= REACH else (x, y)


def near_borders() -> NDArray[np.float32]:
    """Gaussians (N, H, W, 1) whose centers lie within five pixels of each border, and slightly outside."""
    rng = np.random.default_rng(0)
    places = []
    for along in np.linspace(0, 1, 9):
        for depth in np.arange(-1.0, 5.5, 0.5):
            x, y = along * (WIDTH - 1), along * (HEIGHT - 1)
            places += [(depth, y), (WIDTH - 1 - depth, y), (x, depth), (x, HEIGHT - 1 - depth)]
    places = [(x + rng.uniform(-0.25, 0.25), y + rng.uniform(-0.25, 0.25)) for x, y in places]
    return np.concatenate([gaussian(x, y, HEIGHT, WIDTH, peak=rng.uniform(0.2, 1)) for x, y in places])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decode", "official"),
    [pytest.param(decode_dark, official_dark, id="dark"), pytest.param(decode_udp, official_udp, id="udp")],
)
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_decoding_matches_the_official_code_near_borders(
    decode: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    official: Callable[[NDArray[np.float32]], tuple[float, float]],
    noise: float,
) -> None:
    maps = near_borders()
    maps += np.random.default_rng(1).normal(0, noise, maps.shape).astype(np.float32)
    expected = [(*official(heatmap[..., 0]), float(heatmap.max())) for heatmap in maps]
    np.testing.assert_allclose(decode(maps)[:, 0], expected, atol=1e-3)


@pytest.mark.parametrize("decode", [decode_dark, decode_udp], ids=["dark", "udp"])
@pytest.mark.parametrize(("x", "y"), [(20.0, 30.0), (20.3, 30.45), (9.8, 50.2), (40.49, 12.51)])
def test_gaussian_center_is_decoded(decode: Callable[..., NDArray[np.float64]], x: float, y: float) -> None:
    keypoint = decode(gaussian(x, y))[0, 0]
    np.testing.assert_allclose(keypoint[:2], [x, y], atol=0.01)
    assert keypoint[2] == pytest.approx(gaussian(x, y).max())
    quarter = decode_heatmaps(gaussian(x, y))[0, 0]
    assert np.abs(keypoint[:2] - [x, y]).max() <= np.abs(quarter[:2] - [x, y]).max()


@pytest.mark.parametrize(
    ("decode", "official"),
    [pytest.param(decode_dark, official_dark, id="dark"), pytest.param(decode_udp, official_udp, id="udp")],
)
def test_noisy_maps_and_maps_without_a_joint(
    decode: Callable[..., NDArray[np.float64]], official: Callable[..., tuple[float, float]]
) -> None:
    rng = np.random.default_rng(0)
    maps = np.concatenate([gaussian(*rng.uniform(0, [47, 63]), peak=rng.uniform(0.1, 1)) for _ in range(60)])
    maps += rng.normal(0, 0.02, maps.shape).astype(np.float32)
    maps[0], maps[1] = -1, 1e-4  # no joint, and a peak below UDP's clipping threshold
    expected = [(0, 0, -1), *((*official(heatmap[..., 0]), float(heatmap.max())) for heatmap in maps[1:])]
    np.testing.assert_allclose(decode(maps)[:, 0], expected, atol=1e-3)
    np.testing.assert_array_equal(decode_by_geometry(maps, UDP), decode_udp(maps))
