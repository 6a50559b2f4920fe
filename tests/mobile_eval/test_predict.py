"""Pictures with skeletons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobile_eval.boxes_file import load_boxes
from mobile_eval.datasets.coco import load_keypoint_dataset
from mobile_eval.predict import predict
from mobile_eval.preprocess import read_image
from mobile_eval.runtime import TfliteModel

from .conftest import People


def test_whole_images(people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    images = sorted(people.images.iterdir())[:2]
    results = predict(TfliteModel(model_path()), images, tmp_path / "poses")
    assert [result.picture.name for result in results] == ["000001_pose.jpg", "000002_pose.jpg"]
    assert results[0].boxes == ((0.0, 0.0, 160.0, 130.0),)
    assert read_image(results[0].picture).shape == read_image(images[0]).shape == (130, 160, 3)
    assert sorted(path.name for path in (tmp_path / "poses").iterdir()) == [
        "000001_pose.jpg",
        "000002_pose.jpg",
        "keypoints.json",
    ]


def test_written_keypoints_are_a_coco_file(people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    images = sorted(people.images.iterdir())
    boxes = load_boxes(people.annotations, images)
    results = predict(TfliteModel(model_path()), images, tmp_path / "poses", boxes=boxes)
    assert [len(result.boxes) for result in results] == [2, 1, 2]
    data = json.loads((tmp_path / "poses" / "keypoints.json").read_text())
    np.testing.assert_allclose(np.reshape(data["annotations"][2]["keypoints"], (17, 3)), results[1].keypoints[0])
    assert data["annotations"][2]["image_id"] == 2
    for annotation in data["annotations"]:
        annotation["keypoints"] = [0.0, 0.0, 1.0] * 17
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps(data))
    assert len(load_keypoint_dataset(copy, people.images)) == 5


def test_boxes_by_name_number_and_table(people: People, tmp_path: Path) -> None:
    images = sorted(people.images.iterdir())
    path = tmp_path / "boxes.json"
    entries: list[dict[str, Any]] = [
        {"file_name": "000002.jpg", "bbox": [1, 2, 3, 4]},
        {"image_id": 3, "bbox": [5, 6, 7, 8], "score": 0.5},
        {"image_id": 77, "bbox": [5, 6, 7, 8]},
    ]
    path.write_text(json.dumps(entries))
    assert load_boxes(path, images) == {images[1]: [(1, 2, 3, 4)], images[2]: [(5, 6, 7, 8)]}
    assert len(load_boxes(people.annotations, images)[images[0]]) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "boxes file .* is empty"),
        ('"text"', "must hold COCO annotations"),
        ('[{"file_name": "000001.jpg", "bbox": [1, 2, 3]}]', r"entry 0: bbox must be \[x, y, width, height\]"),
        ('[{"file_name": "000001.jpg"}]', "entry 0: bbox must be"),
        ('[{"file_name": "000001.jpg", "bbox": [1, 2, 0, 4]}]', "has no area"),
        ('[{"file_name": "other.jpg", "bbox": [1, 2, 3, 4]}]', "holds no box for 000001.jpg"),
    ],
)
def test_bad_boxes(people: People, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        load_boxes(path, sorted(people.images.iterdir()))


def test_bad_images(people: People, model_path: Callable[..., Path], tmp_path: Path) -> None:
    model = TfliteModel(model_path())
    with pytest.raises(ValueError, match=r"cannot read image .*absent.jpg: No such file"):
        predict(model, [people.images / "absent.jpg"], tmp_path / "a")
    with pytest.raises(ValueError, match="at least one image"):
        predict(model, [], tmp_path / "b")
    with pytest.raises(ValueError, match="would both be written to"):
        predict(model, [people.images / "000001.jpg", tmp_path / "000001.png"], tmp_path / "c")
