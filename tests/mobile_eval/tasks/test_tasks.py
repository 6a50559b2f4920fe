"""One way for all tasks: what fits the model's task is measured, the rest is refused in one line."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mobile_eval.cli.evaluate import evaluate
from mobile_eval.errors import HRNetError
from mobile_eval.model.archive import read_description
from mobile_eval.model.description import ModelOutput, TensorFormat
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked
from mobile_eval.tasks.registry import TASKS
from tests.mobile_eval.conftest import Invoke, People, TaskModel, one_line

CLASSES = ("a", "b", "c")
LSPET = Path(__file__).parents[3] / "benchmarks" / "results" / "lspet"
MakeModel = Callable[..., TaskModel]


def test_every_option_is_of_some_task_and_on_the_command_line() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Asked)}
    assert set().union(*(task.needs + task.takes for task in TASKS.values())) == set(fields)
    parameters = inspect.signature(evaluate).parameters
    assert {name: parameters[name].default for name in fields} == fields


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("segmentation", "", "is a segmentation model: evaluating it needs --images and --masks"),
        ("segmentation", "--images x", "evaluating it needs --images and --masks"),
        (
            "segmentation",
            "--images x --masks x --annotations x",
            "--annotations is not for it; it takes --images, --masks, --limit",
        ),
        ("classification", "", "is a classification model: evaluating it needs --images"),
        ("classification", "--images x --masks x", "--masks is not for it; it takes --images, --limit"),
        ("classification", "--images x --flip --resume", "--flip, --resume is not for it"),
        ("classification", "--images x", "image folder x does not exist"),
        ("landmarks", "--images x --masks x", "is a landmarks model: evaluating it needs --annotations and --images"),
        ("landmarks", "--annotations x --images x --masks x", "--masks is not for it"),
    ],
)
def test_data_of_another_task(task: str, options: str, message: str, task_model: MakeModel, invoke: Invoke) -> None:
    code, _, error = invoke("evaluate", task_model(task, CLASSES).path, *options.split())
    assert code == 2
    assert message in one_line(error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--masks x", "is a pose model: --masks is not for it; it takes --annotations, --images, --limit, --exif, --flip"),
        ("--unit box", "--unit is not for it"),
        ("--head-joints nose,antenna", "--head-joints takes two of the joints nose, left_eye"),
        ("--head-joints nose,left_eye --boxes x", "--head-joints is for PCKh, which is measured in annotated boxes"),
    ],
)
def test_data_that_is_not_for_pose(
    options: str, message: str, model_path: Callable[..., Path], people: People, invoke: Invoke
) -> None:
    data = "--annotations", people.annotations, "--images", people.images
    code, _, error = invoke("evaluate", model_path(), *data, *options.split())
    assert code == 2
    assert message in one_line(error)


def test_head_joints_bring_pckh(model_path: Callable[..., Path], people: People, invoke: Invoke, tmp_path: Path) -> None:
    data = "--annotations", people.annotations, "--images", people.images, "--json", tmp_path / "figures.json"
    code, out, _ = invoke("evaluate", model_path(), *data, "--head-joints", "nose,left_ear")
    assert code == 0
    assert "PCKh@0.5" in out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["pckh"]["joints_counted"], figures["pckh"]["threshold"]) == (68, 0.5)
    assert (figures["images"], figures["data"]["annotations"]) == (3, str(people.annotations))
    assert figures["options"]["head_joints"] == "nose,left_ear"


def test_unknown_tasks(task_model: MakeModel, invoke: Invoke) -> None:
    path = task_model("classification", CLASSES, task="depth").path
    code, _, error = invoke("evaluate", path, "--images", "x")
    assert code == 2
    assert "there is no task 'depth'; there are pose, landmarks, segmentation, classification, detection" in one_line(error)


def test_what_finds_keypoints_refuses_models_of_classes(
    task_model: MakeModel, people: People, invoke: Invoke, tmp_path: Path
) -> None:
    path = task_model("segmentation", CLASSES).path
    for arguments in (
        ("predict", path, people.images / "000001.jpg"),
        ("predict", path, tmp_path / "video.mp4"),
    ):
        code, _, error = invoke(*arguments, "--output", tmp_path / "out")
        assert code == 2
        assert "is a segmentation model: it finds no keypoints" in one_line(error)
    code, _, error = invoke("compare", path, "--annotations", people.annotations, "--images", people.images, "--output", tmp_path)
    assert code == 2
    assert "is a segmentation model: evaluating it needs --images and --masks" in one_line(error)
    assert invoke("bench", path, "--runs", 2, "--no-memory")[0] == 0


@pytest.mark.parametrize("task", ["landmarks", "segmentation", "classification"])
def test_descriptions_of_tasks_survive(task: str, task_model: MakeModel) -> None:
    path = task_model(task, CLASSES).path
    description = read_description(path)
    assert (description.task, description.label_names) == (task, CLASSES)
    assert description.to_json() == json.loads(path.with_suffix(".json").read_text())
    assert b"labels.txt" in path.read_bytes() or task == "landmarks"


def test_files_of_before_there_were_tasks_still_load() -> None:
    files = sorted(LSPET.glob("*.tflite"))
    assert len(files) == 8
    for path in files:
        description = read_description(path)
        assert (description.task, description.classes, description.output.offset) == ("pose", (), 0)
        assert "offset" not in description.to_json()["output"]


def test_classes_that_the_file_has_not(task_model: MakeModel) -> None:
    path = task_model("classification", CLASSES, classes=("a", "b")).path
    with pytest.raises(HRNetError, match=r"its output is \(1, 3\) float32, but its description says \(1, 2\)"):
        TFLiteModel(path)
    with pytest.raises(HRNetError, match=r"0 class names .* class-scores"):
        task_model("classification", CLASSES, classes=())
    with pytest.raises(HRNetError, match=r"3 class names .* heatmaps"):
        task_model("classification", CLASSES, output=ModelOutput("heatmaps", 4, TensorFormat("float32")))
