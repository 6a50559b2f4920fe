"""Heatmap targets against values worked out by hand from the formulas of the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.keypoints.decode import decode_dark
from training.tasks.pose.targets import HeatmapTargets, heatmap_target

SAME = np.array([[1.0, 0, 0], [0, 1, 0]])  # crop pixels equal image pixels
OFFICIAL, DARK = HeatmapTargets("official", 2.0), HeatmapTargets("dark", 2.0)


def target(x: float, y: float, targets: HeatmapTargets, visibility: float = 2.0) -> tuple[np.ndarray, float]:
    """The heatmap (16, 12) of one keypoint at (x, y) in crop pixels, and its weight."""
    heatmaps, weights = heatmap_target(np.array([[x, y, visibility]]), SAME, (16, 12), targets)
    assert heatmaps.dtype == weights.dtype == np.float32
    return heatmaps[..., 0], float(weights[0])


def test_official_targets_are_rounded_and_windowed() -> None:
    heatmap, weight = target(22.0, 33.9, OFFICIAL)  # int(22 / 4 + 0.5) = 6, int(33.9 / 4 + 0.5) = 8
    assert weight == 1
    assert heatmap[8, 6] == 1
    assert heatmap[9, 6] == pytest.approx(math.exp(-1 / 8))
    assert heatmap[9, 8] == pytest.approx(math.exp(-(4 + 1) / 8))
    assert heatmap[14, 6] == pytest.approx(math.exp(-36 / 8))  # 6 sigma + 1 wide: 6 pixels to a side
    assert heatmap[15, 6] == 0
    assert np.count_nonzero(heatmap) == 13 * 12


@pytest.mark.parametrize(
    ("x", "y", "weight"),
    [
        (-26.0, 8.0, 1),  # int(-26 / 4 + 0.5) = -6: its window just reaches the first column
        (-30.1, 8.0, 0),  # int(-7.025) = -7
        (67.9, 8.0, 1),  # int(17.475) = 17: 17 - 6 is the last column, 11
        (70.1, 8.0, 0),
        (8.0, 85.9, 1),  # int(21.975) = 21: 21 - 6 is the last row, 15
        (8.0, 86.0, 0),
    ],
)
def test_official_weight_is_0_where_the_window_is_outside(x: float, y: float, weight: int) -> None:
    heatmap, target_weight = target(x, y, OFFICIAL)
    assert target_weight == weight
    assert bool(heatmap.any()) == bool(weight)


def test_dark_targets_are_at_the_exact_position() -> None:
    heatmap, weight = target(22.0, 33.0, DARK)  # 5.5, 8.25
    assert weight == 1
    assert heatmap[8, 5] == pytest.approx(math.exp(-(0.25 + 0.0625) / 8))
    assert heatmap[8, 6] == heatmap[8, 5]
    assert heatmap[15, 5] == pytest.approx(math.exp(-(0.25 + 6.75**2) / 8))
    np.testing.assert_allclose(decode_dark(heatmap[None, ..., None])[0, 0, :2], [5.5, 8.25], atol=0.05)
    assert target(-2.1, 8.0, DARK)[1] == 0
    assert target(-1.9, 8.0, DARK)[1] == 1


@pytest.mark.parametrize("targets", [OFFICIAL, DARK])
def test_unlabelled_keypoints_have_weight_0(targets: HeatmapTargets) -> None:
    heatmap, weight = target(22.0, 33.0, targets, visibility=0)
    assert (weight, heatmap.sum()) == (0, 0)
    assert target(22.0, 33.0, targets, visibility=1)[1] == 1  # hidden, but labelled


def test_unknown_kind() -> None:
    with pytest.raises(HRNetError, match="'sharp'"):
        HeatmapTargets("sharp", 2.0)
