"""Results of several devices side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.report.comparison import compare
from mobile_eval.report.devices import compare_devices
from mobile_eval.runtime.backend import Backend
from tests.mobile_eval.conftest import People


@pytest.fixture
def results(people: People, model_path: Callable[..., Path], tmp_path: Path) -> list[Path]:
    """Two devices: one measured the float32 and int8 model, the second one int8 only."""
    dataset = load_keypoint_dataset(people.annotations, people.images)
    models = [model_path("float32"), model_path("float32", name="second"), model_path("int8")]
    compare(models, dataset, tmp_path / "pi", rounds=3)
    compare(models[2:], dataset, tmp_path / "coral", backend=Backend(xnnpack=False), rounds=3)
    return [tmp_path / device / "results.json" for device in ("pi", "coral")]


def test_models_by_devices(results: list[Path], tmp_path: Path) -> None:
    comparison = compare_devices(results, tmp_path / "report")
    assert [row.label for row in comparison.rows] == ["float32", "second", "int8"]
    [pi, coral] = comparison.devices
    assert pi.name.endswith("(pi)")  # devices with the same processor are named by their folder
    assert coral.name.endswith("(coral)")
    float32, second, int8 = comparison.rows
    assert float32.cells[1] is second.cells[1] is None
    assert int8.cells[1] is not None
    assert int8.cells[1].is_reference
    written = json.loads(results[0].read_text())["models"][1]
    cell = second.cells[0]
    assert cell is not None
    assert (cell.p50_ms, cell.ratio, cell.score_difference) == (written["latency"]["p50_ms"], written["latency_ratio"], 0.0)
    assert cell.ratio_interval is not None
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<svg") == 2  # for screens and for phones
    assert f"{cell.ratio:.2f}" in page
    assert json.loads((tmp_path / "report" / "devices.json").read_text())["devices"][0]["threads"] == 1
    assert "second" in str(comparison)


def test_results_without_intervals(results: list[Path], tmp_path: Path) -> None:
    data: dict[str, Any] = json.loads(results[0].read_text())
    for model in data["models"]:
        del model["latency_ratio_interval"], model["score_difference_interval"]
    results[0].write_text(json.dumps(data))
    cell = compare_devices(results[:1], tmp_path / "report").rows[1].cells[0]
    assert cell is not None
    assert cell.ratio_interval is cell.score_interval is None


@pytest.mark.parametrize("content", ["[]", "{}", '{"environment": {"processor": "x"}, "models": [{}]}'])
def test_invalid_results_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(HRNetError, match=r"results.json"):
        compare_devices([path], tmp_path / "report")
    assert not (tmp_path / "report").exists()
