"""Invalid labels: up to 1 % are counted, named and skipped; more, or --strict, refuse the file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobile_eval.datasets.coco.detection import DetectionDataset, load_detection_dataset
from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.detection.evaluate import measure_boxes
from mobile_eval.tasks.pose.evaluate import measure_pose
from tests.mobile_eval.conftest import Invoke, People, one_line

PEOPLE, IN_IMAGE = 100, 20  # COCO's limit of predictions per image


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an image, whose content is never read."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "a.png").touch()
    return folder


@pytest.fixture
def coco() -> dict[str, Any]:
    """100 people of two joints in five images."""
    spots = np.random.default_rng(0).uniform(5, 400, (PEOPLE, 2)).round(1)
    annotations = [
        {"image_id": i // IN_IMAGE + 1, "bbox": [x, y, 40.0, 50.0], "keypoints": [x + 9, y + 9, 2, x + 30, y + 30, 1]}
        for i, (x, y) in enumerate(spots.tolist())
    ]
    annotations = [{"id": i, "category_id": 1, **annotation} for i, annotation in enumerate(annotations, 1)]
    images = [{"id": i + 1, "file_name": "a.png", "width": 500, "height": 500} for i in range(PEOPLE // IN_IMAGE)]
    category = {"id": 1, "name": "person", "keypoints": ["nose", "neck"], "sigmas": [0.05, 0.05]}
    return {"images": images, "annotations": annotations, "categories": [category]}


def keypoints_of(coco: dict[str, Any], images: Path, **options: Any) -> KeypointDataset:
    (images / "people.json").write_text(json.dumps(coco))
    return load_keypoint_dataset(images / "people.json", images, **options)


def boxes_of(coco: dict[str, Any], images: Path, **options: Any) -> DetectionDataset:
    kinds = [{"id": 1, "name": "person"}]
    (images / "boxes.json").write_text(json.dumps({**coco, "categories": kinds}))
    return load_detection_dataset(images / "boxes.json", images, **options)


BAD_BOXES = [
    pytest.param({"bbox": [5, 5, 0, 9]}, "bbox [5, 5, 0, 9] has no area", id="zero"),
    pytest.param({"bbox": [5, 5, 9, -2]}, "bbox [5, 5, 9, -2] has no area", id="negative"),
    pytest.param({"bbox": [900, 5, 9, 9]}, "bbox [900, 5, 9, 9] lies outside the 500x500 image", id="outside"),
    pytest.param({"bbox": [math.nan, 5, 9, 9]}, "bbox must be finite", id="nan"),
    pytest.param({"bbox": [5, 5, math.inf, 9]}, "bbox must be finite", id="infinite"),
    pytest.param({"bbox": None}, "bbox must be [x, y, width, height], got None", id="null"),
    pytest.param({"bbox": [0.1, 0.2, 0.3, 0.3]}, "[0.1, 0.2, 0.3, 0.3]", id="shares"),
    pytest.param({"image_id": 50}, "image_id 50", id="image"),
]
BAD_KEYPOINTS = [
    pytest.param({"keypoints": []}, "has no keypoints", id="no keypoints"),
    pytest.param({"keypoints": [1, 2, 2]}, "3 keypoint numbers, expected 3 x 2", id="too few"),
    pytest.param({"keypoints": ["9", "9", "2"] * 2}, "keypoints must be numbers, got '9'", id="texts"),
]


@pytest.mark.parametrize(("entry", "value"), [("categories", {"sigmas": [0.05]}), ("images", {"file_name": "a\0.png"})])
def test_invalid_category_or_image_names_the_file(coco: dict[str, Any], images: Path, entry: str, value: dict[str, Any]) -> None:
    coco[entry][0].update(value)
    with pytest.raises(HRNetError, match=r"people\.json"):
        keypoints_of(coco, images)


@pytest.mark.parametrize("read", [keypoints_of, boxes_of])
@pytest.mark.parametrize(("change", "message"), BAD_BOXES)
def test_one_invalid_annotation_in_a_hundred_is_skipped(
    read: Callable[..., Any], change: dict[str, Any], message: str, coco: dict[str, Any], images: Path
) -> None:
    coco["annotations"][6].update(change)
    data = read(coco, images)
    counts = len(data.coco["annotations"]), len(data) if read is keypoints_of else sum(len(image.boxes) for image in data.images)
    assert counts == (PEOPLE - 1, PEOPLE - 1)
    assert data.skipped_summary.startswith("1 of 100 annotations skipped; first: annotation 7")
    assert message in data.skipped_summary
    with pytest.raises(HRNetError, match=r"json, annotation 7") as caught:
        read(coco, images, strict=True)
    assert message in str(caught.value)
    coco["annotations"][8].update(change)
    with pytest.raises(HRNetError, match=r"2 of 100 annotations .* 1%; first: annotation 7") as caught:
        read(coco, images)
    assert message in str(caught.value)


@pytest.mark.parametrize(("change", "message"), BAD_KEYPOINTS)
def test_one_annotation_without_keypoints_is_skipped(
    change: dict[str, Any], message: str, coco: dict[str, Any], images: Path
) -> None:
    coco["annotations"][6].update(change)
    data = keypoints_of(coco, images)
    assert len(data) == len(data.coco["annotations"]) == PEOPLE - 1
    assert message in data.skipped_summary
    with pytest.raises(HRNetError, match="annotation 7"):
        keypoints_of(coco, images, strict=True)


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        ([900, 30, 2], "neck at (900, 30) lies outside the 500x500 image"),
        ([math.nan, 30, 2], "neck at (nan, 30)"),
        ([None, None, 1], "neck at (nan, nan)"),
        ([1e300, 30, 2], "neck at (1e+300, 30)"),
        ([30, 30, math.nan], "the visibility of neck is nan"),
        ([30, 30, math.inf], "the visibility of neck is inf"),
    ],
)
def test_a_few_invalid_keypoints_become_unlabelled(joint: list[Any], message: str, coco: dict[str, Any], images: Path) -> None:
    coco["annotations"][6]["keypoints"][3:] = joint
    data = keypoints_of(coco, images)
    assert len(data) == PEOPLE
    assert data.instances[6].keypoints[1].tolist() == [0, 0, 0]
    assert data.skipped_summary == (
        "1 of 200 labelled keypoints treated as unlabelled; first: annotation 7 (a.png): "
        + data.skipped_summary.rpartition("a.png): ")[2]
    )
    assert message in data.skipped_summary
    keypoints = np.stack([instance.keypoints for instance in data.instances])
    result = measure_pose("x", data, keypoints, [0.05, 0.05])
    assert result.oks is not None
    assert (result.oks.ap50, result.pck.pck, result.pck.joints_counted) == (1.0, 1.0, 199)
    with pytest.raises(HRNetError, match=r"people\.json, annotation 7 \(a\.png\): .*neck"):
        keypoints_of(coco, images, strict=True)
    coco["annotations"][8]["keypoints"][3:] = joint
    assert len(keypoints_of(coco, images)) == PEOPLE
    coco["annotations"][9]["keypoints"][3:] = joint
    with pytest.raises(HRNetError, match=r"3 of 200 labelled keypoints .* 1%; first: annotation 7"):
        keypoints_of(coco, images)


def test_an_instance_whose_only_keypoint_is_invalid_is_skipped(coco: dict[str, Any], images: Path) -> None:
    coco["annotations"][6]["keypoints"] = [0, 0, 0, 900, 900, 2]
    data = keypoints_of(coco, images)
    assert len(data) == PEOPLE - 1
    assert data.coco["annotations"][6]["num_keypoints"] == 0
    assert data.skipped_summary.startswith("1 annotation skipped: 1 without labelled keypoints; 1 of 199 labelled keypoints")


def test_invalid_head_boxes_are_skipped(coco: dict[str, Any], images: Path) -> None:
    for annotation in coco["annotations"]:
        annotation["bbox_head"] = [10, 10, 20, 20]
    coco["annotations"][6]["bbox_head"] = [10, 10, 0, 20]
    data = keypoints_of(coco, images)
    assert [instance.head_box is None for instance in data.instances].count(True) == 1
    assert data.skipped_summary.startswith("1 of 100 head boxes skipped; first: annotation 7 (a.png), bbox_head")


def test_instances_without_labelled_keypoints_need_no_box(coco: dict[str, Any], images: Path) -> None:
    for annotation in coco["annotations"][:50]:
        annotation.update(keypoints=[0] * 6, bbox=[0, 0, 0, 0])
    data = keypoints_of(coco, images)
    assert len(data) == len(data.coco["annotations"]) == 50
    assert data.skipped_summary == "50 annotations skipped: 50 without labelled keypoints"


def test_changed_entries_are_reported(coco: dict[str, Any], images: Path) -> None:
    coco["annotations"][0].update(area=0, num_keypoints=0)
    coco["annotations"][1].update(area=math.nan, num_keypoints=2)
    coco["annotations"][2].update(area=5.0, num_keypoints=2)
    coco["categories"][0]["skeleton"] = [[0, 1], [1, 2]]
    data = keypoints_of(coco, images)
    assert data.remarks == (
        "the skeleton contains keypoint 0, so it counts from 0; 1 pair of unknown keypoints skipped in the skeleton",
        "the area of 2 annotations is not above 0: 0.53 of the box is used",
        "num_keypoints of 1 annotation is wrong: the labelled keypoints are counted",
    )
    assert data.category.skeleton == ((0, 1),)
    assert boxes_of(coco, images).skipped_summary == "the area of 2 annotations is not above 0: the area of the box is used"


def test_crowds_and_background_of_detection(coco: dict[str, Any], images: Path) -> None:
    coco["images"] += [{**coco["images"][0], "id": number} for number in (6, 7)]
    coco["annotations"] += [{"id": 1, "iscrowd": 1, "segmentation": {"counts": [], "size": [1, 1]}}]
    coco["annotations"] += [{"image_id": 6, "category_id": 1, "bbox": [9, 9, 5, 5], "iscrowd": 1}]
    data = boxes_of(coco, images)
    assert data.skipped_summary == "2 annotations of crowds skipped; 2 images without boxes: background"
    assert [len(image.boxes) for image in data.images] == [IN_IMAGE] * 5 + [0, 0]
    perfect = [{**entry, "score": 0.9} for entry in data.coco["annotations"] if not entry.get("iscrowd")]
    false = {"image_id": 7, "category_id": 1, "bbox": [9, 9, 50, 50], "score": 1.0}
    right, wrong = measure_boxes(data, perfect), measure_boxes(data, [*perfect, false])
    assert right.ap == pytest.approx(1.0)
    assert wrong.ap == pytest.approx(100 / 101, abs=1e-3)  # the false one is ranked first: precision n / (n + 1)


def test_evaluate_reports_invalid_labels_and_strict_refuses_them(
    people: People, model_path: Callable[..., Path], invoke: Invoke
) -> None:
    annotation = people.coco["annotations"][0]
    people.coco["annotations"] += [{**annotation, "id": 100 + i} for i in range(100)]
    people.coco["annotations"][1]["keypoints"][:3] = [-90, 5, 2]
    people.rewrite()
    command = "evaluate", model_path(), "--annotations", people.annotations, "--images", people.images, "--limit", 3
    code, _, error = invoke(*command)
    assert code == 0
    assert f"{people.annotations}: 1 annotation skipped: 1 without labelled keypoints; 1 of 1,768 labelled keypoints" in error
    assert "nose at (-90, 5) lies outside the 160x130 image" in error
    code, _, error = invoke(*command, "--strict")
    assert code == 2
    assert "people.json, annotation 2 (000001.jpg): nose at (-90, 5) lies outside" in one_line(error)
