"""Data of another task or of other classes ends in one line and exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.mobile_eval.conftest import Invoke, People, TaskModel, one_line

CLASSES = ("sky", "road", "car")
LANDMARKS = tuple(f"landmark_{index}" for index in range(68))
MakeModel = Callable[..., TaskModel]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two images, masks of three classes, and class folders unknown to the model."""
    folder = tmp_path / "data"
    for name in ("images/a.png", "images/b.png", "animals/cat/a.png", "animals/dog/a.png", "animals/cow/a.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((30, 40, 3), np.uint8))
    for name in ("car", "road"):
        (folder / "empty" / name).mkdir(parents=True)
    (folder / "masks").mkdir()
    for name, index in (("a", 1), ("b", 2)):
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), np.full((30, 40), index, np.uint8))
    (folder / "classes.txt").write_text("road\nsky\ncar\n")
    (folder / "two.txt").write_text("sky\nroad\n")
    (folder / "all.txt").write_text("sky\nroad\ncar\n")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("segmentation", "--images {data}/images --masks {data}/masks --classes {data}/classes.txt", "3 (road, sky, car), but "),
        ("segmentation", "--images {data}/images --masks {data}/masks --classes {data}/two.txt", "are of classes 2 (sky, road)"),
        ("segmentation", "--images {data}/images --masks {data}/masks --classes {data}/no.txt", "cannot read file of classes"),
        ("segmentation", "--images {data}/images --masks {data}/animals", "a.png has no mask: "),
        ("segmentation", "--images {data}/masks --masks {data}/none", "image folder {data}/none does not exist"),
        ("segmentation", "--images {data}/images --masks {data}/images", "images and masks are both in {data}/images"),
        ("classification", "--images {data}/images", "images holds no folder; expected one for each class"),
        ("classification", "--images {data}/animals", "class folder 'cat' is not a class of the model: sky, road, car"),
        ("classification", "--images {data}/empty", "class folder {data}/empty/car has no images"),
        ("classification", "--images {data}/animals --classes {data}/classes.txt", "--classes"),
        ("classification", "--images {data}/animals --overlays x", "--overlays"),
        ("landmarks", "--images {people}/images --annotations {people}/people.json", "annotations are of 17 (nose, left_eye"),
        ("landmarks", "--images {data}/images --annotations {data}/masks", "masks is a folder without .pts files"),
        ("landmarks", "--images {data}/images --annotations {data}/boxes.json", "boxes.json has no category with keypoints"),
        ("landmarks", "--images {data}/images --annotations {data}/classes.txt", "classes.txt, line 1: 1 entries, expected 207"),
        ("landmarks", "--images {data}/none --annotations {people}/people.json", "image folder {data}/none does not exist"),
        ("landmarks", "--images {data}/images --annotations {people}/people.json", "not found in {data}/images"),
        ("landmarks", "--images x --annotations x --windows --picture x", "--windows"),
    ],
)
def test_bad_data_ends_in_one_line(
    task: str, options: str, message: str, data: Path, people: People, task_model: MakeModel, invoke: Invoke
) -> None:
    (data / "boxes.json").write_text(json.dumps({**people.coco, "categories": [{"id": 1, "name": "person"}]}))
    model = task_model(task, LANDMARKS if task == "landmarks" else CLASSES).path
    folders = {"data": data, "people": people.annotations.parent}
    code, _, error = invoke("evaluate", model, *options.format(**folders).split())
    assert code == 2
    assert message.format(**folders) in one_line(error)


@pytest.mark.slow
def test_mask_classes_can_be_those_of_the_model(data: Path, task_model: MakeModel, invoke: Invoke) -> None:
    arguments = "--images", data / "images", "--masks", data / "masks"
    assert invoke("evaluate", task_model("segmentation", CLASSES).path, *arguments, "--classes", data / "all.txt")[0] == 0
    unnamed = task_model("segmentation", ("class_0", "class_1", "class_2")).path
    assert invoke("evaluate", unnamed, *arguments, "--classes", data / "classes.txt")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["images", "masks", "animals"])
def test_pose_models_refuse_folders(folder: str, data: Path, model_path: Callable[..., Path], invoke: Invoke) -> None:
    code, _, error = invoke("evaluate", model_path(), "--images", data / "images", "--annotations", data / folder)
    assert code == 2
    assert f"{data / folder} is a folder without .pts files" in one_line(error)
