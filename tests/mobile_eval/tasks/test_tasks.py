"""Data and options of every task; those of another task end in one line."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mobile_eval.cli.evaluate import evaluate
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import read_description
from mobile_eval.model.description import ModelOutput, TensorFormat
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.registry import TASKS
from tests.mobile_eval.conftest import Invoke, People, TaskModel, one_line

CLASSES = ("a", "b", "c")
LSPET = Path(__file__).parents[3] / "benchmarks" / "results" / "lspet"
MakeModel = Callable[..., TaskModel]


def test_every_option_of_a_task_is_on_the_command_line() -> None:
    parameters = set(inspect.signature(evaluate).parameters)
    for task in TASKS.values():
        assert {field.name for field in dataclasses.fields(task.options)} <= parameters
        assert set(task.needs + task.takes) <= {field.name for field in dataclasses.fields(DataSource)} & parameters


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options", "named"),
    [
        ("segmentation", "", "--images and --masks"),
        ("segmentation", "--images x", "--images and --masks"),
        ("segmentation", "--images x --masks x --annotations x", "--annotations"),
        ("classification", "", "--images"),
        ("classification", "--images x --masks x", "--masks"),
        ("classification", "--images x --flip", "--flip"),
        ("classification", "--images x", "image folder x"),
        ("landmarks", "--images x --masks x", "--masks"),
        ("landmarks", "--annotations x", "--annotations and --images"),
    ],
)
def test_data_and_options_of_another_task(task: str, options: str, named: str, task_model: MakeModel, invoke: Invoke) -> None:
    code, _, error = invoke("evaluate", task_model(task, CLASSES).path, *options.split())
    assert code == 2
    assert named in one_line(error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--masks x", "--masks"),
        ("--unit box", "--unit"),
        ("--head-joints nose,antenna", "antenna"),
        ("--head-joints nose,left_eye --boxes x", "--boxes"),
        ("--sigmas 0.1,a", "'0.1,a'"),
        ("--sigmas -1", "--sigmas"),
    ],
)
def test_bad_options_of_pose(options: str, named: str, model_path: Callable[..., Path], people: People, invoke: Invoke) -> None:
    data = "--annotations", people.annotations, "--images", people.images
    code, _, error = invoke("evaluate", model_path(), *data, *options.split())
    assert code == 2
    assert named in one_line(error)


def test_head_joints_bring_pckh(model_path: Callable[..., Path], people: People, invoke: Invoke, tmp_path: Path) -> None:
    data = "--annotations", people.annotations, "--images", people.images, "--json", tmp_path / "figures.json"
    code, out, _ = invoke("evaluate", model_path(), *data, "--head-joints", "nose,left_ear")
    assert code == 0
    assert "PCKh@0.5" in out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["pckh"]["joints_counted"], figures["pckh"]["threshold"]) == (68, 0.5)
    assert (figures["images"], figures["data"]["annotations"]) == (3, str(people.annotations))
    assert figures["options"]["head_joints"] == ["nose", "left_ear"]


@pytest.mark.slow
def test_unknown_tasks(task_model: MakeModel, invoke: Invoke) -> None:
    path = task_model("classification", CLASSES, task="depth").path
    code, _, error = invoke("evaluate", path, "--images", "x")
    assert code == 2
    assert "'depth'" in one_line(error)


def test_keypoint_commands_refuse_models_without_keypoints(
    task_model: MakeModel, people: People, invoke: Invoke, tmp_path: Path
) -> None:
    path = task_model("segmentation", CLASSES).path
    data = ("--annotations", people.annotations, "--images", people.images, "--output", tmp_path / "out")
    code, _, error = invoke("vectors", path, *data)
    assert (code, path.name in one_line(error)) == (2, True)
    code, _, error = invoke("compare", path, *data)
    assert (code, "--annotations" in one_line(error)) == (2, True)
    assert invoke("benchmark", path, "--runs", 2, "--no-memory")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("task", ["landmarks", "segmentation", "classification"])
def test_description_round_trip(task: str, task_model: MakeModel) -> None:
    path = task_model(task, CLASSES).path
    description = read_description(path)
    assert (description.task, description.label_names) == (task, CLASSES)
    assert description.to_json() == json.loads(path.with_suffix(".json").read_text())
    assert b"labels.txt" in path.read_bytes() or task == "landmarks"


def test_stored_pose_models_are_described() -> None:
    files = sorted(LSPET.glob("*.tflite"))
    assert len(files) == 7
    for path in files:
        description = read_description(path)
        assert (description.task, description.classes, description.output.offset) == ("pose", (), 0)
        assert "offset" not in description.to_json()["output"]


@pytest.mark.slow
def test_class_count_must_match_the_output(task_model: MakeModel) -> None:
    path = task_model("classification", CLASSES, classes=("a", "b")).path
    with pytest.raises(HRNetError, match=r"\(1, 3\) .*\(1, 2\)"):
        TFLiteModel(path)
    with pytest.raises(HRNetError, match=r"0 class names .* class-scores"):
        task_model("classification", CLASSES, classes=())
    with pytest.raises(HRNetError, match=r"3 class names .* heatmaps"):
        task_model("classification", CLASSES, output=ModelOutput("heatmaps", 4, TensorFormat("float32")))
