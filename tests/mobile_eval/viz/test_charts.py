"""Charts: the numbers in them are the right ones, and nothing to draw is said."""

from __future__ import annotations

import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.viz.charts import Kind, RemovedUnits, importance_by_kind, kinds_svg, removal_points, removal_svg

IMPORTANCE = {
    "stage2_module0_link0to1": 1.0,
    "stage2_module0_link1to0": 2.0,
    "stage3_module1_link2to0": 6.0,
    "stage3_module1_branch0_block0": 99.0,
}


def test_links_are_grouped_by_direction_stage_and_distance() -> None:
    assert importance_by_kind(IMPORTANCE) == [
        Kind("direction", "to higher resolution", 2, 4.0),
        Kind("direction", "to lower resolution", 1, 1.0),
        Kind("stage", "stage 2", 2, 1.5),
        Kind("stage", "stage 3", 1, 6.0),
        Kind("distance", "1 step", 2, 1.5),
        Kind("distance", "2 steps", 1, 6.0),
    ]


def test_bars_name_their_kind() -> None:
    svg = kinds_svg(IMPORTANCE)
    assert svg.count("<rect") == 6 + 1  # and the background
    assert "2 steps: mean importance 6 of 1 link<" in svg
    with pytest.raises(HRNetError, match="at least one fusion link"):
        kinds_svg({"stage3_module1_branch0_block0": 1.0})


def test_the_way_down_has_a_dot_for_each_step() -> None:
    steps = [
        {"removed": ["stage4_module0_link3to0"], "ratio": 0.9, "score": 0.61},
        {"removed": ["stage2_module0_link0to1"], "ratio": 0.85, "score": None},
        {"removed": ["stage3_module0_link0to2", "stage3_module0_link1to2"], "ratio": 0.8, "score": 0.55},
    ]
    points = removal_points(0.62, steps)
    assert points == [
        RemovedUnits(1.0, 0.62, "the whole network"),
        RemovedUnits(0.9, 0.61, "stage4_module0_link3to0"),
        RemovedUnits(0.8, 0.55, "stage3_module0_link0to2, stage3_module0_link1to2"),
    ]
    svg = removal_svg(points, "PCK@0.1", "ms")
    assert svg.count("<circle") == 3
    assert "step 2: stage3_module0_link0to2, stage3_module0_link1to2; 0.800 of latency, PCK@0.1 55.0 %" in svg
    with pytest.raises(HRNetError, match="at least one step"):
        removal_svg([], "PCK@0.1", "ms")
