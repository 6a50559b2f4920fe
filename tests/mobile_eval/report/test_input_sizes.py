"""Accuracy and cost against input size: the lines, the positions of their markers, and the report."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.report.comparison import compare
from mobile_eval.report.html import report_html
from mobile_eval.report.input_sizes import SizeLine, SizePoint, accuracy_by_size_svg, cost_by_size_svg, input_sizes, size_lines
from mobile_eval.report.results import ComparisonResult
from tests.mobile_eval.conftest import People

SVG = "{http://www.w3.org/2000/svg}"
SMALL, MIDDLE, LARGE = SIZES = ((64, 64), (96, 64), (96, 96))
FULL = tuple(SizePoint(size, 0.4 + 0.1 * i, 200_000_000 - 50_000_000 * i, 1 + 0.5 * i) for i, size in enumerate(SIZES))
LINES = [
    SizeLine("pose-small-v2", "float32", FULL),
    SizeLine("pose-small-v2", "int8", (SizePoint(SMALL, 0.39, 200_000_000, 0.5), SizePoint(LARGE, 0.58, 100_000_000, 1.0))),
    SizeLine("simple-baseline-r50", "int8", (SizePoint(MIDDLE, 0.45, 400_000_000, 3.0),)),
]


def stub_model(name: str, size: tuple[int, int], precision: str = "float32", links: tuple[int, int] = (4, 4)) -> Any:
    shape = SimpleNamespace(name=name, precision=precision, input=SimpleNamespace(size=size), multiply_adds=size[0] * size[1])
    links_kept, links_possible = links
    figures = {"measurement": SimpleNamespace(score=0.5), "latency": SimpleNamespace(p50_ms=1.0)}
    return SimpleNamespace(description=shape, links_kept=links_kept, links_possible=links_possible, **figures)


def marks(svg: str) -> dict[str, tuple[float, float]]:
    """Centers (x, y) of the markers, by tooltip."""
    centers = {}
    for shape in ElementTree.fromstring(svg).iter():
        title = shape.find(f"{SVG}title")
        if title is None or title.text is None:
            continue
        if shape.tag == f"{SVG}circle":
            centers[title.text] = float(shape.get("cx", "")), float(shape.get("cy", ""))
        else:
            half = float(shape.get("width", "")) / 2
            centers[title.text] = float(shape.get("x", "")) + half, float(shape.get("y", "")) + half
    return centers


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_lines_group_models_by_network_and_precision() -> None:
    models = [
        stub_model("pose-small-v2", (128, 96)),
        stub_model("pose-small-v2", (64, 64)),
        stub_model("pose-small-v2", (64, 64), "int8"),
        stub_model("mine-128x96", (128, 96), links=(0, 0)),
        stub_model("mine-64x64-b", (64, 64), links=(0, 0)),
        stub_model("pose-small-v2", (64, 64), links=(2, 4)),
    ]
    lines = size_lines(models)
    assert [line.name for line in lines] == [
        "pose-small-v2, float32",
        "pose-small-v2, int8",
        "mine, float32",
        "mine-b, float32",
        "pose-small-v2, pruned, float32",
    ]
    assert [[point.size for point in line.points] for line in lines[:2]] == [[(64, 64), (128, 96)], [(64, 64)]]
    assert input_sizes(models) == [(64, 64), (128, 96)]


def test_second_model_of_a_size_starts_another_line() -> None:
    sizes = [(64, 64), (96, 64), (64, 64), (96, 64), (64, 64)]
    lines = size_lines([stub_model("micro", size) for size in sizes])
    assert [line.network for line in lines] == ["micro", "micro (2)", "micro (3)"]
    assert [len(line.points) for line in lines] == [2, 2, 1]


def test_positions_of_accuracy_markers() -> None:
    svg = accuracy_by_size_svg(LINES, "PCK@0.1")
    centers = marks(svg)
    assert len(centers) == 6
    shares = (("64×64", 40), ("96×64", 50), ("96×96", 60))
    small, middle, large = (centers[f"pose-small-v2, float32, {size}: PCK@0.1 {share}.0 %"] for size, share in shares)
    assert middle[0] - small[0] == pytest.approx(large[0] - middle[0], abs=0.02)
    assert small[1] - middle[1] == pytest.approx(middle[1] - large[1], abs=0.02)
    assert small[1] > middle[1]
    assert centers["pose-small-v2, int8, 96×96: PCK@0.1 58.0 %"][0] == pytest.approx(large[0], abs=0.02)
    assert centers["simple-baseline-r50, int8, 96×64: PCK@0.1 45.0 %"][1] == pytest.approx((small[1] + middle[1]) / 2, abs=0.02)
    assert {"PCK@0.1, %", "64×64", "96×64", "96×96", *(line.name for line in LINES)} <= set(texts(svg))
    curves = [path.get("stroke-dasharray") for path in ElementTree.fromstring(svg).iter(f"{SVG}path")]
    assert curves == [None, "5 3"]  # a single point has no line


def test_cost_axis_is_linear_from_zero() -> None:
    svg = cost_by_size_svg(LINES)
    centers = marks(svg)
    assert sum("ms" in title for title in centers) == 6
    assert sum("multiply-adds" in title for title in centers) == 4  # precision makes no difference
    hundred, most = (
        centers["pose-small-v2, 96×96: 100 M multiply-adds"],
        centers["simple-baseline-r50, 96×64: 400 M multiply-adds"],
    )
    zero = next(float(text.get("y", "")) - 4 for text in ElementTree.fromstring(svg).iter(f"{SVG}text") if text.text == "0")
    assert (zero - hundred[1]) / (zero - most[1]) == pytest.approx(0.25, abs=0.001)
    fast, slow = centers["pose-small-v2, float32, 64×64: 1.00 ms"], centers["simple-baseline-r50, int8, 96×64: 3.00 ms"]
    assert (zero - fast[1]) / (zero - slow[1]) == pytest.approx(1 / 3, abs=0.001)
    assert fast[0] > most[0]
    assert {"multiply-adds, M", "latency p50, ms"} <= set(texts(svg))
    with pytest.raises(HRNetError, match="got none"):
        cost_by_size_svg([])


def with_two_sizes(result: ComparisonResult) -> ComparisonResult:
    """The result with a larger input of the second model."""
    first, second = result.models
    larger = dataclasses.replace(second.description.input, size=(96, 64))
    second = dataclasses.replace(second, description=dataclasses.replace(second.description, input=larger))
    return dataclasses.replace(result, models=(first, second))


def test_report_shows_input_sizes(model_path: Callable[..., Path], people: People, tmp_path: Path) -> None:
    dataset = load_keypoint_dataset(people.annotations, people.images)
    baseline = {"architecture": "simple-baseline", "depth": 50}
    paths = [model_path(name="hrnet"), model_path(name="other", network=baseline, importance=None)]
    result = compare(paths, dataset, tmp_path / "report", rounds=1)
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count('data-label="Input">64×48</td>') == 2
    assert "against input size" not in page
    page = report_html(with_two_sizes(result))
    assert [page.count(f'data-label="Input">{size}</td>') for size in ("64×48", "96×64")] == [1, 1]
    assert "<h2>Accuracy and cost against input size</h2>" in page
    for label in ("PCK@0.1 against input size", "multiply-adds and latency against input size"):
        assert page.count(f'aria-label="{label}"') == 2  # for screens and for phones
