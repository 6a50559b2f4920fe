"""Checks of data sets: each planted fault is counted exactly, and clean data have none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from hrnet_tf.__main__ import app
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from training.data.check import DataCheck, Spread, check_data
from training.data.check.result import ERROR, NOTE, WARNING

SIZE = (24, 32)
JOINTS = ("nose", "left_eye", "right_eye", "left_ear", "tail")
COUNT = 120  # one bad item is below 1 %, two are above


def draw(path: Path, seed: int, size: tuple[int, int] = SIZE) -> Path:
    """Write an image that looks like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


class PoseData:
    """A set of drawn images with a person each, whose last joint is labelled in every second image."""

    def __init__(self, folder: Path, split: str, count: int, seed: int):
        self.folder, self.split = folder, split
        self.paths = [draw(folder / "images" / f"{split}_{index}.png", seed + index) for index in range(count)]
        points = [[8, 8, 2], [12, 6, 2], [4, 6, 1], [14, 8, 2], [9, 18, 2]]
        self.coco: dict[str, Any] = {
            "categories": [{"id": 1, "name": "dog", "keypoints": list(JOINTS), "skeleton": [[1, 2], [1, 3]]}],
            "images": [{"id": i, "file_name": path.name, "height": 24, "width": 32} for i, path in enumerate(self.paths)],
            "annotations": [],
        }
        for index in range(count):
            labels = np.array(points if index % 2 else [*points[:4], [0, 0, 0]]).reshape(-1).tolist()
            annotation = {"id": index, "image_id": index, "category_id": 1, "bbox": [2, 4, 16, 16], "keypoints": labels}
            self.coco["annotations"].append(annotation)

    def source(self) -> DataSource:
        path = self.folder / f"{self.split}.json"
        path.write_text(json.dumps(self.coco))
        return DataSource(self.folder / "images", path)


@pytest.fixture
def train(tmp_path: Path) -> PoseData:
    return PoseData(tmp_path, "train", COUNT, 0)


@pytest.fixture
def val(tmp_path: Path) -> PoseData:
    return PoseData(tmp_path, "val", 8, 10_000)


def counts(check: DataCheck, severity: str) -> dict[tuple[str, str], int]:
    """The findings of a severity by kind and split."""
    return {(each.kind, each.split): each.count for each in check.findings if each.severity == severity}


def test_clean_pose_data(train: PoseData, val: PoseData) -> None:
    check = check_data("pose", train.source(), val.source())
    summary = check.sets["train"]
    assert (summary.images, summary.items, summary.boxes, check.sets["val"].items) == (COUNT, COUNT, COUNT, 8)
    assert (summary.heights, summary.box_widths) == (Spread(24, 24, 24), Spread(16, 16, 16))
    assert [(label.count, label.share, label.visible) for label in summary.labels] == [
        (120, 1, 1), (120, 1, 1), (120, 1, 0), (120, 1, 1), (60, 0.5, 1),
    ]  # fmt: skip
    assert check.pairs == (("left_eye", "right_eye"),)
    assert check.skeleton == (("nose", "left_eye"), ("nose", "right_eye"))
    assert (counts(check, ERROR), counts(check, WARNING)) == ({}, {("unclear sides", "train"): 1})
    unclear = check.of_kind("unclear sides", "train")
    assert unclear is not None
    assert "left_ear" in unclear.text
    assert check.ok
    assert "mirrored: 1 pair, 3 joints without a counterpart (nose, left_ear, tail)" in str(check)


def test_faults_of_a_pose_set(train: PoseData, val: PoseData) -> None:
    annotations = train.coco["annotations"]
    annotations[0]["bbox"] = [40, 4, 16, 16]  # outside of the image
    annotations[1]["keypoints"][:3] = [200, 8, 2]  # a joint outside
    annotations[3]["bbox"] = [20, 4, 16, 16]  # reaches beyond the image
    for annotation in annotations:
        annotation["keypoints"][9:12] = [0, 0, 0]
    cut(train.paths[5])
    train.paths[7].write_bytes(train.paths[8].read_bytes())
    val.coco["images"][0]["file_name"] = train.paths[9].name
    val.paths[1].write_bytes(train.paths[10].read_bytes())
    similar = cv2.imread(str(train.paths[11]))
    cv2.imwrite(str(val.paths[2]), cv2.convertScaleAbs(similar, alpha=1, beta=2))
    check = check_data("pose", train.source(), val.source())
    assert counts(check, ERROR) == {}
    assert counts(check, WARNING) == {
        ("invalid annotations", "train"): 1,
        ("invalid labelled keypoints", "train"): 1,
        ("missing labels", "train"): 1,
        ("unclear sides", "train"): 1,
        ("damaged images", "train"): 1,
        ("copies", "train"): 1,
        ("shared images", ""): 1,
        ("shared copies", ""): 1,
        ("similar images", ""): 1,
    }
    assert counts(check, NOTE) == {("boxes beyond the image", "train"): 1}
    examples = {each.kind: each.examples for each in check.findings}
    assert examples["similar images"] == (f"{val.paths[2]} = {train.paths[11]}",)
    assert examples["shared copies"] == (f"{val.paths[1]} = {train.paths[10]}",)
    assert train.paths[5].name in examples["damaged images"][0]
    assert [label.count for label in check.sets["train"].labels] == [118, 119, 119, 0, 60]


def test_what_training_refuses(train: PoseData, val: PoseData) -> None:
    for path in train.paths[:2]:
        cut(path)
    cut(val.paths[0])
    val.coco["categories"][0]["keypoints"][4] = "tip"
    check = check_data("pose", train.source(), val.source())
    assert counts(check, ERROR) == {("damaged images", "train"): 2, ("damaged images", "val"): 1, ("different labels", ""): 2}
    assert not check.ok
    assert check.verdict == "cannot be trained on: 3 errors, 1 warning"
    train.paths[3].unlink()
    check = check_data("pose", train.source(), val.source())
    assert list(check.sets) == ["val"]
    refused = check.of_kind("refused", "train")
    assert refused is not None
    assert "names 1 image file not found" in refused.text


def test_joints_without_sides(train: PoseData) -> None:
    train.coco["categories"][0]["keypoints"] = ["a", "b", "c", "d", "e"]
    check = check_data("pose", train.source())
    assert check.pairs is None
    assert counts(check, WARNING) == {("unknown pairs", "train"): 5}
    assert counts(check, NOTE) == {("no validation set", ""): 0}


def test_detection(train: PoseData) -> None:
    train.coco["categories"] = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}, {"id": 3, "name": "cow"}]
    for place, annotation in enumerate(train.coco["annotations"]):
        annotation["category_id"] = 1 + (place % 4 == 0)
    train.coco["annotations"][2]["bbox"] = [3, 3, 0, 5]
    train.coco["annotations"].append({"id": 999, "image_id": 5, "category_id": 1, "bbox": [0, 0, 4, 8]})
    check = check_data("detection", train.source())
    summary = check.sets["train"]
    assert (summary.images, summary.boxes) == (120, 120)
    assert [(label.name, label.count, label.share) for label in summary.labels] == [
        ("dog", 90, 0.75), ("cat", 30, 0.25), ("cow", 0, 0),
    ]  # fmt: skip
    assert (summary.box_heights, summary.box_widths) == (Spread(8, 16, 16), Spread(4, 16, 16))
    assert counts(check, WARNING) == {("invalid annotations", "train"): 1, ("missing labels", "train"): 1}
    assert "1 image without boxes" in str(check)


def masks(folder: Path, count: int, seed: int) -> DataSource:
    """Images whose mask has a quarter of class 1 and a column of ignored pixels."""
    for index in range(count):
        draw(folder / "images" / f"{index}.png", seed + index)
        mask = np.zeros(SIZE, np.uint8)
        mask[:12, :16] = 1
        mask[:, -1] = 255
        (folder / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "masks" / f"{index}.png"), mask)
    classes = folder / "classes.txt"
    classes.write_text("ground\nroof\nsky\n")
    return DataSource(folder / "images", masks=folder / "masks", classes=classes)


def test_segmentation(tmp_path: Path) -> None:
    source = masks(tmp_path, 6, 0)
    check = check_data("segmentation", source)
    assert [label.count for label in check.sets["train"].labels] == [6 * (24 * 31 - 192), 6 * 192, 0]
    assert counts(check, WARNING) == {("missing labels", "train"): 1}
    ignored = check.of_kind("ignored pixels", "train")
    assert ignored is not None
    assert ignored.text.startswith("3.12%")
    paths = sorted((tmp_path / "masks").iterdir())
    cv2.imwrite(str(paths[1]), np.full(SIZE, 7, np.uint8))
    cut(paths[2])
    cv2.imwrite(str(paths[3]), np.ones((24, 30), np.uint8))
    check = check_data("segmentation", source)
    assert counts(check, ERROR) == {
        ("damaged masks", "train"): 1, ("labels outside of the classes", "train"): 1, ("masks of another size", "train"): 1,
    }  # fmt: skip
    assert not check.ok


def test_classification(tmp_path: Path) -> None:
    for split, classes in (("train", ("cat", "dog")), ("val", ("cat", "cow"))):
        for index, name in enumerate(classes):
            for number in range(2 if index else 20):
                draw(tmp_path / split / name / f"{number}.png", 100 * index + number + (1000 if split == "val" else 0))
    (tmp_path / "train" / "cat" / "1.png").write_bytes((tmp_path / "train" / "cat" / "0.png").read_bytes())
    check = check_data("classification", DataSource(tmp_path / "train"), DataSource(tmp_path / "val"))
    assert [(label.name, label.count) for label in check.sets["train"].labels] == [("cat", 20), ("dog", 2)]
    assert counts(check, ERROR) == {("different labels", ""): 2}
    assert counts(check, WARNING) == {("copies", "train"): 1}
    assert counts(check, NOTE) == {("imbalance", "train"): 0}


def test_points_files(tmp_path: Path) -> None:
    for index in range(3):
        draw(tmp_path / "images" / f"{index}.png", index)
        points = "\n".join(f"{5 + number % 10} {5 + number // 10}" for number in range(68))
        (tmp_path / "images" / f"{index}.pts").write_text(f"version: 1\nn_points: 68\n{{\n{points}\n}}\n")
    check = check_data("landmarks", DataSource(tmp_path / "images", tmp_path / "images"))
    assert check.sets["train"].items == 3
    assert check.pairs is not None
    assert len(check.pairs) == 29
    assert "each of 68" in str(check)
    assert check.ok


def test_command(train: PoseData, val: PoseData, tmp_path: Path) -> None:
    sources, figures = (train.source(), val.source()), tmp_path / "check.json"
    files = ["--train-annotations", str(sources[0].annotations), "--val-annotations", str(sources[1].annotations)]
    command = ["data", "check", "pose", "--images", str(tmp_path / "images"), *files, "--json", str(figures)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "can be trained on: 1 warning"
    assert "set --flip-pairs" in result.output
    written = json.loads(figures.read_text())
    assert (written["ok"], written["sets"]["train"]["labels"][4]["count"]) == (True, 60)
    for path in train.paths[:2]:
        cut(path)
    assert CliRunner().invoke(app, command).exit_code == 2
    assert json.loads(figures.read_text())["ok"] is False


def test_sources_that_do_not_fit_the_task(train: PoseData) -> None:
    with pytest.raises(HRNetError, match=r"checking the train set of segmentation .*`annotations`"):
        check_data("segmentation", train.source())
    with pytest.raises(HRNetError, match="'jumping'"):
        check_data("jumping", train.source())
