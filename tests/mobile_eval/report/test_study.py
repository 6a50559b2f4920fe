"""Studies: means over seeds, comparisons with intervals, and the report."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.metric import Metric
from mobile_eval.report.arms import StudyArm
from mobile_eval.report.comparison import compare
from mobile_eval.report.study import StudyNetwork, load_arms, study_comparisons, study_figures, study_networks
from mobile_eval.tasks.report import ratio

PCK, ERROR = Metric("PCK@0.1", "pck"), Metric("NME", "nme", higher_is_better=False)
IMAGES = 200


def model(label: str, share: float, latency_ms: float) -> Any:
    """A model that is right on a share of the images: the first ones."""
    hits = (np.arange(IMAGES) < share * IMAGES).astype(float)
    measurement = SimpleNamespace(score=hits.mean(), sums=np.column_stack([hits, np.ones(IMAGES)]))
    latency = SimpleNamespace(p50_ms=latency_ms, p90_ms=1.1 * latency_ms)
    return SimpleNamespace(label=label, description=SimpleNamespace(precision="int8"), measurement=measurement, latency=latency)


def networks(*listed: tuple[str, str, float | None, tuple[float, ...], float]) -> list[StudyNetwork]:
    """Networks of a study: name, kind, budget, scores by seed, latency."""
    arms, models = [], []
    for name, kind, budget, scores, latency_ms in listed:
        for seed, score in enumerate(scores):
            arms.append(StudyArm(name, kind, budget, seed, (f"{name}-{seed}",)))
            models.append(model(f"{name}-{seed}", score, latency_ms))
    return study_networks(arms, models, ratio)


FULL = ("full", "full", None, (0.70, 0.72), 10.0)


def test_means_over_seeds() -> None:
    full, units = networks(FULL, ("units-50", "units", 0.5, (0.65, 0.68, 0.71), 5.0))
    assert (full.score, units.score) == pytest.approx((0.71, 0.68))
    assert units.deviation == pytest.approx(0.03)
    assert (full.latency_ratio, units.latency_ratio) == (1.0, 0.5)
    assert units.score_difference == pytest.approx(-0.03)
    assert full.score_interval is None
    assert units.score_interval is not None
    assert units.score_interval.low < -0.03 < units.score_interval.high < 0
    [single] = networks(("full", "full", None, (0.7,), 10.0))
    assert single.deviation is None


def test_what_a_pruned_network_is_compared_with() -> None:
    widths = ((12, 0.6, 7.0), (9, 0.5, 5.1), (8, 0.4, 4.9))
    narrow = [(f"narrow-{width}", "narrow", None, (share,), latency_ms) for width, share, latency_ms in widths]
    listed = networks(
        FULL,
        ("units-50", "units", 0.5, (0.65, 0.69), 5.0),
        *narrow,
        ("random-50", "random", 0.5, (0.67,), 5.0),
        ("random-75", "random", 0.75, (0.68,), 7.5),
        ("scratch-50", "scratch", 0.5, (0.75,), 5.0),
        ("full-scratch", "full-scratch", None, (0.75,), 10.0),
    )
    comparisons = study_comparisons(listed, PCK, ratio)
    by_name = {comparison.other.name: comparison for comparison in comparisons if comparison.pruned.name == "units-50"}
    assert list(by_name) == ["full", "full-scratch", "narrow-9", "random-50", "scratch-50"]
    assert {name: comparison.verdict for name, comparison in by_name.items()} == {
        "full": "behind",
        "full-scratch": "behind",
        "narrow-9": "ahead",
        "random-50": "not told apart",
        "scratch-50": "behind",
    }
    assert by_name["narrow-9"].difference == pytest.approx(0.17)
    from_scratch = {other.other.name: other.verdict for other in comparisons if other.pruned.name == "scratch-50"}
    assert from_scratch == {"full": "ahead", "full-scratch": "not told apart", "narrow-9": "ahead", "random-50": "ahead"}
    errors = {
        other.other.name: other.verdict for other in study_comparisons(listed, ERROR, ratio) if other.pruned.kind == "units"
    }
    assert (errors["full"], errors["narrow-9"]) == ("ahead", "behind")
    unknown = study_comparisons(listed, PCK, None)
    assert {(comparison.interval, comparison.verdict) for comparison in unknown} == {(None, "")}


def test_error_bars_are_standard_deviations() -> None:
    [(precision, figure)] = study_figures(networks(FULL, ("units-50", "units", 0.5, (0.65, 0.69), 5.0)), "PCK@0.1").items()
    assert precision == "int8"
    assert [row[3] for row in figure.values.rows] == ["71.00 ± 1.41", "67.00 ± 2.83"]
    assert "units-50: 5.00 ms, 67.00 ± 2.83 %" in figure.wide


def manifest(path: Path, *arms: tuple[str, float | None, list[str]]) -> Path:
    listed = [{"name": k, "kind": k, "budget": b, "seed": 0, "labels": labels} for k, b, labels in arms]
    path.write_text(json.dumps({"arms": listed}))
    return path


def test_manifest_must_have_the_compared_models(tmp_path: Path) -> None:
    path = manifest(tmp_path / "study.json", ("full", None, ["a", "a8"]), ("units", 0.8, ["b", "b8"]), ("links", 0.8, ["c"]))
    assert load_arms(path, ["a", "b"]) == (StudyArm("full", "full", None, 0, ("a",)), StudyArm("units", "units", 0.8, 0, ("b",)))
    with pytest.raises(HRNetError, match=r": x$"):
        load_arms(path, ["a", "x"])
    with pytest.raises(HRNetError, match="full network"):
        load_arms(path, ["b"])
    path.write_text('{"arms": [{"name": "full", "kind": "full"}]}')
    with pytest.raises(HRNetError, match=r"arms\[0\]: budget"):
        load_arms(path, ["a"])


def test_the_report_shows_the_study(tmp_path: Path, model_path: Any, people: Any) -> None:
    removal = {"cost_unit": "ms", "metric": "PCK@0.1", "full_score": 0.5}
    removal["steps"] = [{"removed": ["x"], "ratio": 0.9, "score": 0.4}]
    paths = [model_path("int8", "full"), model_path("int8", "pruned", source={"removal": removal})]
    arms = manifest(tmp_path / "study.json", ("full", None, ["full"]), ("units", 0.8, ["pruned"]))
    dataset = load_keypoint_dataset(people.annotations, people.images)
    result = compare(paths, dataset, tmp_path / "report", rounds=2, arms=arms)
    assert [arm.kind for arm in result.arms] == ["full", "units"]
    page = (tmp_path / "report" / "index.html").read_text()
    for words in ("The study", "Pruned networks against others", "The order of removal", "Importance by kind"):
        assert words in page
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    assert results["arms"][1]["budget"] == 0.8
    [comparison] = results["study"]["comparisons"]
    assert (comparison["pruned"], comparison["other"], comparison["difference"]) == ("units", "full", 0.0)
    plain = compare(paths, dataset, tmp_path / "plain", rounds=2)
    assert plain.arms == ()
    assert "The study" not in (tmp_path / "plain" / "index.html").read_text()
