"""COCO instances: boxes, classes, and files that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mobile_eval.datasets.coco.detection import load_detection_dataset
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError


def test_boxes_and_classes(shapes: Path) -> None:
    data = load_detection_dataset(shapes / "train.json", shapes / "images")
    content = json.loads((shapes / "train.json").read_text())
    assert (len(data), data.names, data.category_ids) == (16, ("square", "disc"), (3, 7))
    assert data.label_schema == {"name": "detection", "classes": ["square", "disc"]}
    first = data.items[0]
    entries = [entry for entry in content["annotations"] if entry["image_id"] == first.image_id]
    assert first.boxes.tolist() == [entry["bbox"] for entry in entries]
    assert first.labels.tolist() == [int(entry["category_id"] == 7) for entry in entries]
    assert first.image_size == (96, 128)
    assert data.skipped_summary == ""


def test_a_part_has_matching_annotations(shapes: Path) -> None:
    data = load_detection_dataset(shapes / "train.json", shapes / "images")
    head, every_second = data.head(3), data.part(slice(1, None, 2))
    assert (len(head), len(every_second)) == (3, 8)
    assert len(head.coco["annotations"]) == sum(len(item.boxes) for item in head.items)
    assert {image["id"] for image in every_second.coco["images"]} == {item.image_id for item in every_second.items}
    assert data.head(None) is data
    with pytest.raises(HRNetError, match="got 0"):
        data.head(0)


def written(shapes: Path, folder: Path, **changes: Any) -> Path:
    """The file with the first annotation changed."""
    content = json.loads((shapes / "train.json").read_text())
    content["annotations"][0] |= changes
    path = folder / "changed.json"
    path.write_text(json.dumps(content))
    return path


def test_crowds_are_not_boxes(shapes: Path, tmp_path: Path) -> None:
    data = load_detection_dataset(written(shapes, tmp_path, iscrowd=1), shapes / "images")
    assert data.skipped_summary == "1 annotation of crowds skipped"
    assert sum(len(item.boxes) for item in data.items) == len(data.coco["annotations"]) - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"bbox": [5, 5, 0, 9]},
            r"changed\.json: 1 of 31 annotations .* first: annotation 1 \(train1\.png\): bbox \[5, 5, 0, 9\]",
        ),
        ({"bbox": [5, 5, 9, -1]}, "has no area"),
        ({"bbox": [5, 5]}, r"bbox .*got \[5, 5\]"),
        ({"bbox": [500, 5, 9, 9]}, r"annotation 1 \(train1\.png\): bbox .*128x96"),
        ({"category_id": 5}, r"annotation 1: category_id 5 is not among the file's \(3, 7\)"),
        ({"image_id": 99}, "annotation 1: image_id 99"),
    ],
)
def test_invalid_annotations_are_refused(changes: dict[str, Any], message: str, shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match=message) as caught:
        load_detection_dataset(written(shapes, tmp_path, **changes), shapes / "images")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "images .*got None"),
        ([], "is not a COCO instances file: it must be an object with images, categories, annotations, got"),
        ({"categories": [], "images": [], "annotations": []}, "holds no image"),
        (
            {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person", "keypoints": ["nose"]}]},
            "is a COCO keypoint file; detection takes a COCO",
        ),
    ],
)
def test_files_of_another_kind_are_refused(content: Any, message: str, shapes: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    with pytest.raises(HRNetError, match=message):
        load_detection_dataset(path, shapes / "images")


def test_files_without_boxes_or_images_are_refused(shapes: Path, tmp_path: Path) -> None:
    content = json.loads((shapes / "train.json").read_text())
    (tmp_path / "empty.json").write_text(json.dumps({**content, "annotations": []}))
    with pytest.raises(HRNetError, match=r"empty\.json"):
        load_detection_dataset(tmp_path / "empty.json", shapes / "images")
    with pytest.raises(HRNetError, match=r"16 image files .*train1\.png"):
        load_detection_dataset(shapes / "train.json", tmp_path)
    with pytest.raises(HRNetError, match="/none"):
        load_detection_dataset(shapes / "train.json", tmp_path / "none")


def test_keypoint_networks_refuse_instances(shapes: Path) -> None:
    with pytest.raises(HRNetError, match=r"train\.json"):
        load_keypoint_dataset(shapes / "train.json", shapes / "images")
