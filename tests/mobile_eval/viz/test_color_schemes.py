"""Pictures in the light and the dark color scheme: contrast, backgrounds, and sizes of text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from mobile_eval.viz.charts import RemovalPoint, importance_by_kind_svg, removal_svg
from mobile_eval.viz.confusion_matrix import CORRECT_COLOR, MAX_OPACITY, WRONG_COLOR, confusion_svg
from mobile_eval.viz.link_diagram import link_diagram_svg, link_diagrams_svg
from mobile_eval.viz.profile_chart import MAX_OPACITY as MAX_CELL_OPACITY
from mobile_eval.viz.profile_chart import PARTS_COLOR
from mobile_eval.viz.scatter import Point, pareto_front, scatter_svg
from mobile_eval.viz.svg import DARK, FAINT, FILL, GRID, INK, MARGIN, MIN_TEXT, MUTED, NARROW, PALETTE, PAPER
from tests.mobile_eval.conftest import NETWORK

SVG = "{http://www.w3.org/2000/svg}"
PRUNED = {**NETWORK, "links": NETWORK["links"][:3], "removed_links": NETWORK["links"][3:]}
POINTS = [
    Point("full", 2.0, 9.0, 0.7, PALETTE[0]),
    Point("pruned", 1.0, 1.1, 0.69, PALETTE[1], square=True, reference=0),
    Point("random", 1.1, 1.2, 0.6, PALETTE[2]),
]
IMPORTANCE = {name: 0.1 * index for index, name in enumerate(NETWORK["links"])}
REMOVAL = [RemovalPoint(1.0, 0.7, "full network"), RemovalPoint(0.8, 0.65, "stage3_module0_link2to0")]
PICTURES = {
    "links": link_diagram_svg(PRUNED, IMPORTANCE),
    "tasks": link_diagrams_svg({"pose": (NETWORK, IMPORTANCE), "segmentation": (PRUNED, None)}),
    "kinds": importance_by_kind_svg(IMPORTANCE),
    "removal": removal_svg(REMOVAL, "PCK", "ms"),
    "scatter": scatter_svg(POINTS, "PCK"),
    "front": scatter_svg(POINTS, "PCK", front=True),
    "confusion": confusion_svg(np.array([[8, 2], [1, 9]]), ["disc", "square"], "m", "images"),
}


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    values = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def over(color: str, opacity: float, background: str) -> str:
    channels = ((int(color[i : i + 2], 16), int(background[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(opacity * top + (1 - opacity) * bottom):02x}" for top, bottom in channels)


@pytest.mark.parametrize("scheme", [{color: color for color in DARK}, DARK], ids=["light", "dark"])
def test_contrast(scheme: dict[str, str]) -> None:
    paper = scheme[PAPER]
    assert min(contrast(scheme[color], paper) for color in (INK, MUTED)) >= 4.5  # AA of text
    assert min(contrast(scheme[color], paper) for color in PALETTE) >= 3  # AA of graphics
    assert contrast(scheme[INK], scheme[FILL]) >= 4.5
    for color, opacity in ((CORRECT_COLOR, MAX_OPACITY), (WRONG_COLOR, MAX_OPACITY), (PARTS_COLOR, MAX_CELL_OPACITY)):
        assert contrast(scheme[INK], over(scheme[color], opacity, paper)) >= 4.5
    removed = contrast(scheme[FAINT], paper)
    assert removed < min(contrast(scheme[color], paper) for color in (*PALETTE, MUTED))  # what is removed stands out least
    assert contrast(scheme[GRID], paper) < removed


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_have_a_background_and_every_color_in_both_schemes(name: str) -> None:
    svg = PICTURES[name]
    root = ElementTree.fromstring(svg)
    assert [root[0].get(side) for side in ("x", "y", "width", "height")] == root.get("viewBox", "").split()
    assert root[0].get("fill") == PAPER
    used = {part.get(kind) for part in root.iter() for kind in ("fill", "stroke")} - {None, "none"}
    assert used <= set(DARK)
    style = root.find(f"{SVG}style")
    assert style is not None
    assert style.text is not None
    assert style.text.startswith("@media (prefers-color-scheme:dark){")
    rules = set(re.findall(r'\[(fill|stroke)="(#\w+)"\]\{\1:(#\w+)\}', style.text))
    assert rules == {(kind, light, dark) for light, dark in DARK.items() for kind in ("fill", "stroke")}
    assert min(float(part.get("font-size", "0")) for part in root.iter(f"{SVG}text")) >= MIN_TEXT


def test_narrow_charts_fit_a_phone() -> None:
    narrow = [
        scatter_svg(POINTS, "PCK", width=NARROW),
        importance_by_kind_svg(IMPORTANCE, width=NARROW),
        removal_svg(REMOVAL, "PCK", "multiply-adds", width=NARROW),
    ]
    assert [float(ElementTree.fromstring(svg).get("width", "")) for svg in narrow] == [NARROW + 2 * MARGIN] * 3
    assert NARROW + 2 * MARGIN <= 390 - 2 * 16  # the page's margins


def test_distant_whiskers_end_in_an_arrow() -> None:
    root = ElementTree.fromstring(PICTURES["scatter"])
    arrows = [path.get("stroke") for path in root.iter(f"{SVG}path")]
    assert arrows == [PALETTE[0]]  # 9 ms is more than 1.5 times the slowest median
    ticks = [float(text.text or "") for text in root.iter(f"{SVG}text") if re.fullmatch(r"[\d.]+", text.text or "")]
    assert max(tick for tick in ticks if tick < 50) == 4  # ms


def test_pareto_front() -> None:
    assert [point.label for point in pareto_front(POINTS)] == ["pruned", "full"]
    [front] = [path for path in ElementTree.fromstring(PICTURES["front"]).iter(f"{SVG}path") if path.get("class") == "front"]
    assert front.get("d", "").count("L") == 1
