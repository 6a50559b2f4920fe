"""Fusion links of several networks side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mobile_eval.report.links import compare_links
from tests.mobile_eval.conftest import NETWORK, Invoke, one_line


def test_two_networks(model_path: Callable[..., Path], tmp_path: Path) -> None:
    names = NETWORK["links"]
    rising = {name: float(place) for place, name in enumerate(names)}
    falling = {name: -value for name, value in rising.items()}
    pruned = {**NETWORK, "links": names[:3], "removed_links": names[3:]}
    paths = [model_path(name="a", importance=rising), model_path(name="b", importance=falling, network=pruned)]
    paths.append(model_path(name="c", importance=None))
    result = compare_links(paths, tmp_path / "links")
    assert [pair.correlation for pair in result.pairs] == [pytest.approx(-1), None, None]
    assert (result.pairs[0].links, result.pairs[0].same_least, result.pairs[0].by_chance) == (4, 0, 0.25)
    assert "-1.0000" in str(result)
    page = (tmp_path / "links" / "index.html").read_text()
    assert "3 of 4 links" in page
    assert page.count('role="img"') == 3
    data = json.loads((tmp_path / "links" / "links.json").read_text())
    assert data["networks"][1]["removed"] == names[3:]
    shares = [row[2] for row in data["kinds"] if row[0] == "direction"]
    assert np.allclose([first + second for first, second, _ in shares], 1)  # the shares of both networks add up to 1


def test_networks_without_links(model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path) -> None:
    baseline = model_path(name="baseline", network={"architecture": "simple-baseline"}, importance=None)
    code, _, error = invoke("links", model_path(name="a"), baseline, "--output", tmp_path / "links")
    assert code == 2
    assert "baseline.tflite is of a network without fusion links" in one_line(error)
    code, _, error = invoke("links", model_path(name="a"), "--output", tmp_path / "links")
    assert code == 2
    assert "expected at least two models to compare, got 1" in one_line(error)
