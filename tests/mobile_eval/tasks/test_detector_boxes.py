"""Boxes of a detector: reading, rescoring, and suppression of duplicates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobile_eval.datasets.coco.detector_boxes import DetectorBox, load_detector_boxes
from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.keypoint_ap import keypoint_ap
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.detector_boxes import evaluate_in_detector_boxes, rescored_results
from mobile_eval.tasks.pose.evaluate import evaluate_pose
from mobile_eval.tasks.pose.options import PoseEvalOptions
from tests.mobile_eval.conftest import SIZE, People


@pytest.fixture
def dataset(people: People) -> KeypointDataset:
    return load_keypoint_dataset(people.annotations, people.images)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    def to_file(entries: Any) -> Path:
        path = tmp_path / "detections.json"
        path.write_text(json.dumps(entries))
        return path

    return to_file


def entries(dataset: KeypointDataset, **changes: Any) -> list[dict[str, Any]]:
    return [{"image_id": p.image_id, "category_id": 1, "bbox": list(p.box), "score": 0.9, **changes} for p in dataset.instances]


def test_boxes_of_a_detector(dataset: KeypointDataset, people: People, write: Callable[[Any], Path]) -> None:
    listed = entries(dataset)
    listed[0]["score"] = 0.1
    path = write([*listed, {**listed[0], "category_id": 2}])  # another category
    assert len(load_detector_boxes(path, dataset, people.images)) == len(listed)
    boxes = load_detector_boxes(path, dataset, people.images, min_score=0.5)
    assert len(boxes) == len(listed) - 1
    assert boxes[0].image_size == tuple(dataset.coco["images"][0][side] for side in ("height", "width"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bbox": [1, 2, 0, 5]}, r"entry 0: .*bbox .*0"),
        ({"bbox": [1, 2, 5]}, r"entry 0: .*\[1, 2, 5\]"),
        ({"image_id": 999}, "entry 0: .*999"),
        ({"score": -1}, "'person'.* 0"),
        ({"bbox": None}, "entry 0: .*None"),
        ({"bbox": [1, 2, float("nan"), 5]}, "entry 0: .*bbox"),
        ({"bbox": [1, 2, float("inf"), 5]}, "entry 0: .*bbox"),
        ({"image_id": []}, r"entry 0: .*\[\]"),
        ({"score": "0.9"}, "entry 0: .*'0.9'"),
        ({"score": float("nan")}, "entry 0: .*nan"),
    ],
)
def test_invalid_detections_are_refused(
    changes: dict[str, Any], message: str, dataset: KeypointDataset, people: People, write: Callable[[Any], Path]
) -> None:
    with pytest.raises(HRNetError, match=message):
        load_detector_boxes(write(entries(dataset, **changes)), dataset, people.images)
    path = write({"annotations": []})
    with pytest.raises(HRNetError, match=str(path)):
        load_detector_boxes(path, dataset, people.images)


def test_string_image_ids(people: People, write: Callable[[Any], Path]) -> None:
    for entry in people.coco["images"]:
        entry["id"] = f"img-{entry['id']}"
    for entry in people.coco["annotations"]:
        entry["image_id"] = f"img-{entry['image_id']}"
    people.rewrite()
    dataset = load_keypoint_dataset(people.annotations, people.images)
    boxes = load_detector_boxes(write(entries(dataset, category_id="1")), dataset, people.images)
    assert sorted(box.image_id for box in boxes) == sorted(instance.image_id for instance in dataset.instances)
    keypoints = np.stack([instance.keypoints for instance in dataset.instances])
    results = rescored_results(dataset.category_id, boxes, keypoints, [0.05] * 17, SIZE)
    assert keypoint_ap(dataset.coco, results, [0.05] * 17, dataset.category_id).ap == pytest.approx(1.0)


def test_duplicate_detections_count_once(dataset: KeypointDataset) -> None:
    instance = dataset.instances[0]
    truth = np.array(instance.keypoints)
    truth[:, 2] = 0.8
    twice = [DetectorBox(instance.image_id, instance.image_path, None, instance.box, score) for score in (0.5, 0.9)]
    moved = truth + np.array([500, 0, 0])
    third = DetectorBox(instance.image_id, instance.image_path, None, instance.box, 0.7)
    sigmas = dataset.category.sigmas
    assert sigmas is not None
    results = rescored_results(1, [*twice, third], np.stack([truth, truth + np.array([0.1, 0, 0]), moved]), sigmas, SIZE)
    assert [result["score"] for result in results] == pytest.approx([0.9 * 0.8, 0.7 * 0.8])
    assert results[0]["keypoints"][0] == pytest.approx(truth[0, 0] + 0.1)
    assert keypoint_ap(dataset.coco, results, sigmas, 1).ap50 is not None


def test_annotated_boxes_give_the_same_accuracy(
    dataset: KeypointDataset, people: People, model_path: Callable[..., Path], write: Callable[[Any], Path]
) -> None:
    model = TFLiteModel(model_path())
    options = PoseEvalOptions(boxes=write(entries(dataset, score=1.0)))
    result, expected = evaluate_in_detector_boxes(model, dataset, options), evaluate_pose(model, dataset)
    assert expected.oks is not None
    assert result.oks.ar == pytest.approx(expected.oks.ar)
    assert json.loads(json.dumps(result.to_json()))["poses"] <= result.boxes == len(dataset)
    assert "boxes of a detector" in str(result)
