"""Structure of every page: titles, tables, charts with their values, text sizes, and both color schemes."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.report.comparison import compare
from mobile_eval.report.devices import compare_devices
from mobile_eval.report.figures import link_name
from mobile_eval.report.headline import headline
from mobile_eval.report.html import report_html
from mobile_eval.report.links import compare_links
from mobile_eval.report.number_format import points_difference
from mobile_eval.viz.svg import MIN_TEXT
from tests.mobile_eval.conftest import NETWORK, People

PRUNED = {**NETWORK, "links": NETWORK["links"][:3], "removed_links": NETWORK["links"][3:]}
MIN_PAGE_TEXT = 12.0


class Page(HTMLParser):
    """What the tests look at."""

    def __init__(self, text: str):
        super().__init__()
        self.title = ""
        self.lang: str | None = None
        self.tables: list[dict[str, int]] = []  # numbers of captions, header cells, and those without a scope
        self.figures: list[dict[str, int]] = []  # numbers of pictures, tables and wide or narrow frames
        self.scrolling: list[dict[str, str | None]] = []  # attributes of what scrolls sideways
        self._open: list[str] = []
        self._in_plot = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        classes = (attributes.get("class") or "").split()
        self._open.append(tag)
        if tag == "html":
            self.lang = attributes.get("lang")
        elif tag == "table":
            self.tables.append({"caption": 0, "th": 0, "unscoped": 0})
        elif tag in ("caption", "th"):
            self.tables[-1][tag] += 1
            self.tables[-1]["unscoped"] += tag == "th" and attributes.get("scope") not in ("col", "row")
        elif tag == "figure":
            self._in_plot = "plot" in classes  # other figures are photos
            self.figures += [{"svg": 0, "table": 0, "narrow": 0}] * self._in_plot
        if "scroll" in classes:
            self.scrolling.append(attributes)
        if self._in_plot and "figure" in self._open and tag in ("svg", "table"):
            self.figures[-1][tag] += 1
        if "narrow" in classes:
            self.figures[-1]["narrow"] += 1

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title" and "svg" not in self._open:
            self.title += data


@pytest.fixture
def pages(model_path: Callable[..., Path], people: People, tmp_path: Path) -> dict[str, str]:
    """The text of each kind of page."""
    removal = {"cost_unit": "ms", "metric": "PCK@0.1", "full_score": 0.5}
    removal["steps"] = [{"removed": [NETWORK["links"][3]], "ratio": 0.9, "score": 0.4}]
    full, pruned = model_path("int8", "full"), model_path("int8", "pruned", network=PRUNED, source={"removal": removal})
    arms = tmp_path / "study.json"
    listed = [("full", None, "full"), ("units", 0.8, "pruned")]
    arms.write_text(
        json.dumps({"arms": [{"name": k, "kind": k, "budget": b, "seed": 0, "labels": [label]} for k, b, label in listed]})
    )
    dataset = load_keypoint_dataset(people.annotations, people.images)
    result = compare([full, pruned], dataset, tmp_path / "report", rounds=2)
    compare([full, pruned], dataset, tmp_path / "study", rounds=2, arms=arms)
    compare([full], dataset, tmp_path / "one", rounds=1)
    compare_links([full, pruned], tmp_path / "links")
    compare_devices([tmp_path / name / "results.json" for name in ("report", "study")], tmp_path / "devices")
    texts = {name: (tmp_path / name / "index.html").read_text() for name in ("report", "study", "one", "links", "devices")}
    first, second = result.models
    larger = dataclasses.replace(second.description.input, size=(96, 64))
    second = dataclasses.replace(second, description=dataclasses.replace(second.description, input=larger))
    texts["sizes"] = report_html(dataclasses.replace(result, models=(first, second)))
    assert headline(result).facts[0].name == "of the latency"
    return texts


def test_structure_of_pages(pages: dict[str, str]) -> None:
    figures = {"report": 5, "study": 5, "one": 3, "links": 2, "devices": 1, "sizes": 7}
    for name, text in pages.items():
        page = Page(text)
        assert page.lang == "en", name
        assert page.tables, name
        assert all(table["caption"] == 1 and table["th"] and not table["unscoped"] for table in page.tables), (name, page.tables)
        assert len(page.figures) == figures[name], (name, page.figures)
        assert all(figure["table"] == 1 and figure["svg"] == 1 + figure["narrow"] for figure in page.figures), name
        assert all(part.get("tabindex") == "0" and part.get("aria-label") for part in page.scrolling), (name, page.scrolling)
        assert "Point at" not in text  # values can be read without hovering


def test_titles_contain_the_ratio(pages: dict[str, str]) -> None:
    titles = {name: Page(text).title for name, text in pages.items()}
    compared = r"pruned against full: \d+\.\d\d of the latency, PCK@0\.1 [+−]\d+\.\d+ points"
    for name in ("report", "study", "sizes"):
        assert re.fullmatch(compared, titles[name]), titles[name]
        ratio = titles[name].split(": ")[1].split()[0]
        assert f"<b>{ratio}</b> of the latency" in pages[name]
    assert re.fullmatch(r"full: \d+\.\d\d ms, PCK@0\.1 \d+\.\d %", titles["one"])
    assert titles["links"] == "Fusion links of 2 networks: rank correlation 1.00"
    assert re.fullmatch(r"pruned against full: \d\.\d\d( to \d\.\d\d)? of the latency on 2 devices", titles["devices"])


def test_the_ratio_is_the_first_column(pages: dict[str, str]) -> None:
    columns = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', pages["report"])
    assert columns[:3] == ["Model", "Ratio", "p50, ms"]
    assert len(re.findall('data-label="Ratio"', pages["report"])) == 2  # each cell has its column's name, for phones


def test_text_is_large_enough(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)"', text)]
        assert min(sizes) >= MIN_TEXT, name
        style = text.split("<style>")[1].split("</style>")[0]
        assert min(float(size) for size in re.findall(r"(?:font-size|font): ([\d.]+)px", style)) >= MIN_PAGE_TEXT, name


def test_both_color_schemes(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        assert '<meta name="color-scheme" content="light dark">' in text, name
        style = text.split("<style>")[1].split("</style>")[0]
        assert "color-scheme: light dark" in style
        light, dark = (
            dict(re.findall(r"--(\w+): (#\w{6})", rules)) for rules in style.split("@media (prefers-color-scheme: dark)")[:2]
        )
        assert set(light) == set(dark)
        assert len(light) > 10
        assert all(light[variable] != dark[variable] for variable in light)
        body = text.split("</style>", 1)[1]
        assert not re.findall(r'style="[^"]*#(?!39b6ff|ff8b3d|7be08a)\w{6}', body), name  # skeletons lie over photos


def test_names_and_differences_as_text() -> None:
    assert link_name("stage3_module1_link0to2") == "stage 3, module 1, branch 0 to 2"
    assert link_name("stage3_module1_branch0_block0") == "stage3_module1_branch0_block0"
    assert [points_difference(value, 0.5) for value in (0.511, 0.4996, 0.49999, None)] == ["+1.1", "−0.04", "+0.0", ""]
