"""Charts of links: their numbers and tooltips."""

from __future__ import annotations

import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.viz.charts import LinkKind, RemovalPoint, importance_by_kind, importance_by_kind_svg, removal_points, removal_svg

IMPORTANCE = {
    "stage2_module0_link0to1": 1.0,
    "stage2_module0_link1to0": 2.0,
    "stage3_module1_link2to0": 6.0,
    "stage3_module1_branch0_block0": 99.0,
}


def test_links_are_grouped_by_direction_stage_and_distance() -> None:
    assert importance_by_kind(IMPORTANCE) == [
        LinkKind("direction", "to higher resolution", 2, 4.0),
        LinkKind("direction", "to lower resolution", 1, 1.0),
        LinkKind("stage", "stage 2", 2, 1.5),
        LinkKind("stage", "stage 3", 1, 6.0),
        LinkKind("distance", "1 step", 2, 1.5),
        LinkKind("distance", "2 steps", 1, 6.0),
    ]


def test_bars() -> None:
    svg = importance_by_kind_svg(IMPORTANCE)
    assert svg.count("<rect") == 6 + 1  # with the background
    assert "2 steps: mean importance 6 of 1 link<" in svg
    with pytest.raises(HRNetError, match="fusion link"):
        importance_by_kind_svg({"stage3_module1_branch0_block0": 1.0})


def test_removal_chart() -> None:
    steps = [
        {"removed": ["stage4_module0_link3to0"], "ratio": 0.9, "score": 0.61},
        {"removed": ["stage2_module0_link0to1"], "ratio": 0.85, "score": None},
        {"removed": ["stage3_module0_link0to2", "stage3_module0_link1to2"], "ratio": 0.8, "score": 0.55},
    ]
    points = removal_points(0.62, steps)
    assert points == [
        RemovalPoint(1.0, 0.62, "full network"),
        RemovalPoint(0.9, 0.61, "stage4_module0_link3to0"),
        RemovalPoint(0.8, 0.55, "stage3_module0_link0to2, stage3_module0_link1to2"),
    ]
    svg = removal_svg(points, "PCK@0.1", "ms")
    assert svg.count("<circle") == 3
    assert "step 2: stage3_module0_link0to2, stage3_module0_link1to2; 0.800 of latency, PCK@0.1 55.0 %" in svg
    with pytest.raises(HRNetError, match="step"):
        removal_svg([], "PCK@0.1", "ms")
