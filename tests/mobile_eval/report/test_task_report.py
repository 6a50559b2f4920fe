"""Reports of every task: the figures equal those of `evaluate`, and the page shows predictions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mobile_eval.datasets.classes import read_class_names
from mobile_eval.metrics.confusion import mean_over_classes, per_class_iou
from mobile_eval.report.comparison import compare_files
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.registry import evaluate
from mobile_eval.tasks.segmentation.report import mean_iou
from tests.mobile_eval.conftest import Invoke, TaskModel, one_line
from tests.support.synthetic_tasks import drawn_source

MakeModel = Callable[..., TaskModel]
FIGURES = {"landmarks": "nme", "segmentation": "miou", "classification": "top1"}
SHOWN = {"landmarks": "NME by landmark", "segmentation": "mIoU by class", "classification": "top-1 by class"}


def names_of(task: str, folder: Path) -> tuple[str, ...]:
    if task == "segmentation":
        return read_class_names(folder / "classes.json")
    if task == "classification":
        return tuple(sorted(path.name for path in (folder / "val").iterdir()))
    return tuple(json.loads((folder / "face_keypoints_val.json").read_text())["categories"][0]["keypoints"])


@pytest.mark.slow
@pytest.mark.parametrize("task", FIGURES)
def test_two_precisions_of_a_network(task: str, task_model: MakeModel, drawn_for: Callable[[str], Path], tmp_path: Path) -> None:
    folder = drawn_for(task)
    names = names_of(task, folder)
    paths = [task_model(task, names, precision).path for precision in ("float32", "int8")]
    paths.append(tmp_path / "again-float32.tflite")
    paths[2].write_bytes(paths[0].read_bytes())
    source = drawn_source(task, folder, "val")
    result = compare_files(paths, source, tmp_path / "report", rounds=2)
    data = json.loads((tmp_path / "report" / "results.json").read_text())
    assert (data["task"], data["items"]) == (task, len(result.dataset))
    for model, path in zip(data["models"], paths, strict=True):
        assert model["evaluation"] == evaluate(TFLiteModel(path), source).to_json()
        assert model["evaluation"][FIGURES[task]] == model["score"]
    assert result.models[2].score_interval is not None
    assert (result.models[2].score_interval.low, result.models[2].score_interval.high) == (0, 0)  # the same network
    page = (tmp_path / "report" / "index.html").read_text()
    assert SHOWN[task] in page
    assert all(name.replace("_", " ") in page for name in names)
    assert page.count('class="person"') >= 6
    assert str(source.images) in page


def test_miou_of_sums_is_that_of_the_confusion_matrix() -> None:
    counts = np.random.default_rng(0).integers(0, 50, (4, 5, 5))
    expected = [mean_over_classes(per_class_iou(matrix)) for matrix in counts]
    sums = np.stack([np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2), counts.sum(axis=1)], axis=1)
    np.testing.assert_allclose(mean_iou(sums.reshape(2, 2, 15).astype(float)), np.reshape(expected, (2, 2)))


@pytest.mark.slow
def test_models_and_data_of_other_tasks(
    task_model: MakeModel, drawn_for: Callable[[str], Path], invoke: Invoke, tmp_path: Path
) -> None:
    folder = drawn_for("classification")
    names = names_of("classification", folder)
    cells, streets = task_model("classification", names).path, task_model("segmentation", ("sky", "road", "car")).path
    report = ("--output", tmp_path / "report")
    for arguments, words in (
        ((cells, streets, "--images", folder / "val"), "segmentation-float32.tflite"),
        ((cells, "--annotations", "a.json", "--images", folder / "val"), "--annotations"),
        ((streets, "--images", folder / "val"), "--images and --masks"),
    ):
        code, _, error = invoke("compare", *arguments, *report)
        assert code == 2
        assert words in one_line(error)
    model = task_model("classification", ("a", "b", "c")).path
    code, _, error = invoke("compare", model, "--images", folder / "val", *report)
    assert code == 2
    assert "finds 3 classes (a, b, c) but the data are of 3 (back, front, side)" in one_line(error)
    assert not (tmp_path / "report").exists()
