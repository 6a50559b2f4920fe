"""Study arms: rows, verdicts and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.report.comparison import compare
from mobile_eval.report.results import StudyArm
from mobile_eval.report.study import StudyRow, load_arms, verdicts


def row(kind: str, budget: float | None, pck: float) -> StudyRow:
    return StudyRow(kind, budget, "int8", f"{kind}-{budget}", pck, pck - 0.6, budget or 1.0)


def test_verdicts_count_budgets() -> None:
    rows = [row("full", None, 0.6), row("links", 0.8, 0.59), row("links", 0.7, 0.55)]
    rows += [row("random", 0.8, 0.57), row("random", 0.7, 0.56), row("narrow", 0.8, 0.50)]
    first, second = verdicts(rows)
    assert "1 of 2 budgets (+2.0, −1.0 points)" in first
    assert "1 of 1 budgets (+9.0 points)" in second
    assert verdicts(rows[:3]) == []


def manifest(path: Path, *arms: tuple[str, float | None, list[str]]) -> Path:
    path.write_text(json.dumps({"arms": [{"kind": k, "budget": b, "labels": labels} for k, b, labels in arms]}))
    return path


def test_manifest_must_list_the_compared_models(tmp_path: Path) -> None:
    path = manifest(tmp_path / "study.json", ("full", None, ["a"]), ("links", 0.8, ["b"]))
    assert load_arms(path, ["a", "b"]) == (StudyArm("full", None, ("a",)), StudyArm("links", 0.8, ("b",)))
    with pytest.raises(HRNetError, match=r": b$"):
        load_arms(path, ["a"])
    with pytest.raises(HRNetError, match="full network"):
        load_arms(manifest(tmp_path / "no.json", ("links", 0.8, ["b"])), ["b"])
    path.write_text('{"arms": [{"kind": "full"}]}')
    with pytest.raises(HRNetError, match=r"arms\[0\]: budget"):
        load_arms(path, ["a"])


def test_the_report_shows_the_study(tmp_path: Path, model_path: Any, people: Any) -> None:
    removal = {"cost_unit": "ms", "metric": "PCK@0.1", "full_score": 0.5}
    removal["steps"] = [{"removed": ["x"], "ratio": 0.9, "score": 0.4}]
    paths = [model_path("int8", "full"), model_path("int8", "pruned", source={"removal": removal})]
    arms = manifest(tmp_path / "study.json", ("full", None, ["full"]), ("links", 0.8, ["pruned"]))
    dataset = load_keypoint_dataset(people.annotations, people.images)
    result = compare(paths, dataset, tmp_path / "report", rounds=2, arms=arms)
    assert [arm.kind for arm in result.arms] == ["full", "links"]
    page = (tmp_path / "report" / "index.html").read_text()
    for words in ("The study", "links pruned by importance", "The order of removal", "Importance by kind"):
        assert words in page
    assert json.loads((tmp_path / "report" / "results.json").read_text())["arms"][1]["budget"] == 0.8
    plain = compare(paths, dataset, tmp_path / "plain", rounds=2)
    assert plain.arms == ()
    assert "The study" not in (tmp_path / "plain" / "index.html").read_text()
