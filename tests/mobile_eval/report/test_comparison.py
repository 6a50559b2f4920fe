"""Model comparison, its page and its figures."""

from __future__ import annotations

import copy
import itertools
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.model.description import IMAGES, RANDOM_IMAGES, checked_on
from mobile_eval.report.comparison import compare, labels
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.registry import evaluate
from mobile_eval.viz.cutout import cut_out
from mobile_eval.viz.link_diagram import BLOCK_HEIGHT, MAX_WIDTH, MIN_WIDTH, UNRANKED_WIDTH, link_diagram_svg
from mobile_eval.viz.poses import draw_skeleton, skeleton_svg
from mobile_eval.viz.scatter import Point, scatter_svg
from mobile_eval.viz.svg import tick_step
from tests.mobile_eval.conftest import NETWORK, People

SVG = "{http://www.w3.org/2000/svg}"
PRUNED: dict[str, Any] = {
    **NETWORK,
    "links": NETWORK["links"][:3],
    "removed_links": NETWORK["links"][3:],
    "live_branches": [name for name in NETWORK["live_branches"] if name != "stage3_module0_branch2"],
}


@pytest.fixture
def four(model_path: Callable[..., Path]) -> list[Path]:
    """Full and pruned, float32 and int8 descriptions of the same weights."""
    full = [model_path(precision, f"full-{precision}") for precision in ("float32", "int8")]
    pruned = [model_path(precision, f"pruned-{precision}", network=PRUNED, importance=None) for precision in ("float32", "int8")]
    return [full[0], pruned[0], full[1], pruned[1]]


def test_report(four: list[Path], people: People, tmp_path: Path) -> None:
    dataset = load_keypoint_dataset(people.annotations, people.images)
    result = compare(four, dataset, tmp_path / "report", rounds=4, command="hrnet compare <these>")
    assert [model.reference for model in result.models] == [0, 0, 2, 2]
    assert [model.links_kept for model in result.models] == [4, 3, 4, 3]
    assert result.example_pair() == (2, 3)
    assert result.models[2].latency_ratio == result.models[2].paired_latency_ratio == 1
    last = result.models[3]
    assert last.latency_ratio == pytest.approx(last.latency.p50_ms / result.models[2].latency.p50_ms)
    data = json.loads((tmp_path / "report" / "results.json").read_text())
    evaluations = [evaluate(TFLiteModel(path), DataSource(people.images, people.annotations)).to_json() for path in four]
    assert [model["evaluation"] for model in data["models"]] == evaluations
    assert [model["reference"] for model in data["models"]] == ["full-float32", "full-float32", "full-int8", "full-int8"]
    assert data["models"][1]["evaluation"]["pck"]["pck"] == result.models[1].measurement.score
    assert data["items"] == 4
    page = (tmp_path / "report" / "index.html").read_text()
    assert "full-int8" in page
    assert "hrnet compare &lt;these&gt;" in page
    assert page.count("data:image/jpeg;base64,") >= 4
    assert page.count("<svg") > 10
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["index.html", "results.json"]


def test_page_reports_checks_on_random_images(model_path: Callable[..., Path], people: People, tmp_path: Path) -> None:
    sources = {"drawn": checked_on(4, RANDOM_IMAGES), "real": checked_on(16, IMAGES), "older": {}}
    models = [model_path("float32", name, source=source) for name, source in sources.items()]
    result = compare(models, load_keypoint_dataset(people.annotations, people.images), tmp_path / "report", rounds=2)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "on random images only when converted: drawn.</p>" in page
    assert [model["description"]["source"] for model in result.to_json()["models"]] == list(sources.values())


def test_page_is_self_contained(four: list[Path], people: People, tmp_path: Path) -> None:
    dataset = load_keypoint_dataset(people.annotations, people.images)
    compare(four[:1], dataset, tmp_path / "report", rounds=1)
    page = (tmp_path / "report" / "index.html").read_text()
    assert set(re.findall(r"https?://[^\"' )]+", page)) == {"http://www.w3.org/2000/svg"}  # a namespace
    for attribute in re.findall(r"(?:src|href)=\"([^\"]*)\"", page):
        assert attribute.startswith(("data:", "#"))
    assert "@import" not in page
    assert "url(" not in page


def test_network_without_fusion_links(model_path: Callable[..., Path], people: People, tmp_path: Path) -> None:
    dataset = load_keypoint_dataset(people.annotations, people.images)
    result = compare([model_path(network={}, importance=None)], dataset, tmp_path / "report", rounds=1)
    assert result.models[0].links_possible == 0
    assert "Fusion links" not in (tmp_path / "report" / "index.html").read_text()


def test_pictured_pair_has_links_if_any_model_has(model_path: Callable[..., Path], people: People, tmp_path: Path) -> None:
    dataset = load_keypoint_dataset(people.annotations, people.images)
    baseline = {"architecture": "simple-baseline", "depth": 50}
    paths = [model_path(name="full"), model_path(name="baseline", network=baseline, importance=None)]
    result = compare(paths, dataset, tmp_path / "two", rounds=1)
    assert result.example_pair() == (0, 1)
    assert [model.to_json()["links_possible"] for model in result.models] == [4, 0]
    assert re.search(r"baseline +[\d.-]+ +[\d.]+ +- ", str(result))
    paths.append(model_path(name="pruned", network=PRUNED))
    assert compare(paths, dataset, tmp_path / "three", rounds=1).example_pair() == (0, 2)
    page = (tmp_path / "three" / "index.html").read_text()
    assert "3 pose models on 4 people" in page
    assert page.count("of 4 links") == 2  # diagrams of full and pruned only


def test_labels_are_unique() -> None:
    assert labels(["a/full.tflite", "a/pruned.tflite"]) == ["full", "pruned"]
    assert labels(["a/m.tflite", "b/m.tflite"]) == ["a/m", "b/m"]
    with pytest.raises(HRNetError, match="a/m, a/m"):
        labels(["a/m.tflite", "a/m.tflite"])


def links_of(svg: str) -> dict[str, ElementTree.Element]:
    """Paths of links by name."""
    paths = {}
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        title = path.find(f"{SVG}title")
        if title is not None and title.text:
            paths[title.text.split(":")[0]] = path
    return paths


def test_diagram_draws_every_link() -> None:
    importance = dict(zip(NETWORK["links"], (0.0, 0.25, 1.0, 0.04), strict=True))
    drawn = links_of(link_diagram_svg(PRUNED, importance))
    assert set(drawn) == set(NETWORK["links"])
    removed = PRUNED["removed_links"][0]
    assert [name for name, path in drawn.items() if path.get("class") == "link removed"] == [removed]
    assert drawn[removed].get("stroke-dasharray")
    widths = {name: float(path.get("stroke-width", "")) for name, path in drawn.items()}
    assert [widths[name] for name in NETWORK["links"][:3]] == [MIN_WIDTH, (MIN_WIDTH + MAX_WIDTH) / 2, MAX_WIDTH]
    up, down = drawn["stage2_module0_link1to0"], drawn["stage2_module0_link0to1"]
    assert up.get("stroke") != down.get("stroke")


def test_diagram_without_ranking_and_with_dead_branches() -> None:
    svg = link_diagram_svg(PRUNED)
    assert {float(path.get("stroke-width", "")) for path in links_of(svg).values()} == {UNRANKED_WIDTH}
    assert "stage3_module0_branch2: not built" in svg
    assert "stage3_module0_branch1: built" in svg
    assert "3 of 4 fusion links kept" in svg


def test_diagram_shows_widths() -> None:
    branch = "stage3_module0_branch1"
    svg = link_diagram_svg({**PRUNED, "streams": {"0": PRUNED["width"] // 2}, "inner_shares": {branch: 0.25}})
    assert f"{PRUNED['width'] // 2} of {PRUNED['width']} channels" in svg
    heights = {}
    for box in ElementTree.fromstring(svg).iter(f"{SVG}rect"):
        title = box.find(f"{SVG}title")
        if title is not None:
            heights[(title.text or "").split(":")[0]] = float(box.get("height", ""))
    assert heights[branch] == BLOCK_HEIGHT / 4
    assert heights["stage3_module0_branch0"] == BLOCK_HEIGHT
    assert {float(line.get("stroke-width", "")) for line in ElementTree.fromstring(svg).iter(f"{SVG}line")} >= {1.25, 2.5}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"streams": {"0": 0}}, "branch '0' has 0 channels"),
        ({"streams": {"4": 8}}, "branch '4' has 8 channels"),
        ({"inner_shares": {"stage3_module0_branch1": 1.5}}, "expected 0 to 1"),
        ({"inner_shares": {"branch1": 0.5}}, "'branch1'"),
    ],
)
def test_diagram_refuses_widths_out_of_range(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        link_diagram_svg({**PRUNED, **entry})


def test_diagram_refuses_unknown_names() -> None:
    network = copy.deepcopy(PRUNED)
    network["links"] = ["stage2/link"]
    with pytest.raises(HRNetError, match="'stage2/link'"):
        link_diagram_svg(network)
    del network["links"]
    with pytest.raises(HRNetError, match="links"):
        link_diagram_svg(network)


def test_plot_is_true_to_scale_and_readable() -> None:
    points = [Point(f"model-{index}", 10.0 - 0.01 * index, 10.5, 0.7 + 0.0001 * index, "#123456") for index in range(6)]
    points.append(Point("half", 5.0, 5.5, 0.69, "#654321", square=True, reference=0))
    root = ElementTree.fromstring(scatter_svg(points, "PCK"))
    x = [float(circle.get("cx", "")) for circle in root.iter(f"{SVG}circle")]
    rectangle = next(rect for rect in root.iter(f"{SVG}rect") if rect.get("fill") == "#654321")
    half = float(rectangle.get("x", "")) + float(rectangle.get("width", "")) / 2
    zero = next(float(text.get("x", "")) for text in root.iter(f"{SVG}text") if text.text == "0")
    assert (half - zero) / (x[0] - zero) == pytest.approx(0.5, abs=0.002)
    texts = [text for text in root.iter(f"{SVG}text") if text.text and text.text.startswith("model-")]
    boxes = [(float(text.get("x", "")), float(text.get("y", ""))) for text in texts]
    for index, (x, base) in enumerate(boxes):
        for other_x, other_base in boxes[:index]:
            assert abs(base - other_base) >= 12 or abs(x - other_x) >= 45


def test_labels_at_the_left_border_do_not_overlap() -> None:
    points = [Point(f"a model with a long name {index}", 0.3, 0.35, 0.7 + 0.001 * index, "#123456") for index in range(8)]
    points.append(Point("slow", 50.0, 51.0, 0.75, "#654321"))
    root = ElementTree.fromstring(scatter_svg(points, "PCK"))
    lines = sorted(float(text.get("y", "")) for text in root.iter(f"{SVG}text") if "long name" in (text.text or ""))
    assert len(lines) == 8
    assert min(below - above for above, below in itertools.pairwise(lines)) >= 12


@pytest.mark.parametrize(("extent", "step"), [(10, 2), (1, 0.2), (0.05, 0.01), (12, 2.5), (37, 10)])
def test_axis_steps_are_round_numbers(extent: float, step: float) -> None:
    assert tick_step(extent) == pytest.approx(step)


def test_cutout_keeps_joints_in_place(category: KeypointCategory) -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    cutout = cut_out(image, (100, 50, 40, 100))
    assert cutout.origin == (85, 35)
    keypoints = np.zeros((17, 3))
    keypoints[0] = 120, 99.5, 0.9
    root = ElementTree.fromstring(f'<svg xmlns="http://www.w3.org/2000/svg">{skeleton_svg(keypoints, category, cutout)}</svg>')
    circles = list(root.iter(f"{SVG}circle"))
    assert len(circles) == 1
    assert float(circles[0].get("cy", "")) == pytest.approx((100 - 35) * cutout.scale, abs=0.02)
    wrong = np.ones(17, bool)
    assert skeleton_svg(keypoints, category, cutout, wrong).count("<circle") == 2
    with pytest.raises(HRNetError, match="300x200"):
        cut_out(image, (400, 50, 40, 100))


def test_skeleton_connects_confident_joints(category: KeypointCategory) -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    keypoints = np.tile([20.0, 30.0, 0.1], (17, 1))
    assert not draw_skeleton(image, keypoints, category).any()
    keypoints[5], keypoints[6] = (20, 30, 0.9), (80, 30, 0.9)
    drawn = draw_skeleton(image, keypoints, category)
    assert drawn[30, 50].any()
    assert not drawn[60:].any()
    assert not image.any()
