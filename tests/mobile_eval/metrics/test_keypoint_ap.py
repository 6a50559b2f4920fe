"""AP and AR against pycocotools on the same predictions."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.metrics.keypoint_ap import keypoint_ap
from tests.mobile_eval.pycocotools_scores import assert_same_scores, pycocotools_scores

CATEGORY_ID = 3


def scene(joints: int, images: int, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Annotations with several people per image, crowds, unlabelled people and empty images, and noisy and false predictions."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    for image in range(images):
        for person in range(random.integers(0, 5)):
            side = random.uniform(25, 220)
            box = [*random.uniform(0, 300, 2), side, side * random.uniform(0.8, 2)]
            points = np.column_stack([random.uniform(0, 1, (joints, 2)) * box[2:] + box[:2], random.integers(0, 3, joints)])
            crowd = int(person == 3)
            if person == 2 or crowd:
                points[:] = 0
            points[points[:, 2] == 0] = 0
            annotation = {"id": len(annotations) + 1, "image_id": image, "category_id": CATEGORY_ID, "iscrowd": crowd}
            labelled = int((points[:, 2] > 0).sum())
            sizes = {"bbox": [float(v) for v in box], "area": float(box[2] * box[3] * random.uniform(0.4, 0.7))}
            annotations.append({**annotation, **sizes, "keypoints": points.reshape(-1).tolist(), "num_keypoints": labelled})
            noisy = np.array(points)
            noisy[:, :2] += random.normal(0, random.choice([1, 4, 15]), (joints, 2))
            noisy[:, 2] = 1
            for _ in range(random.integers(0, 3)):
                result = {"image_id": image, "category_id": CATEGORY_ID, "keypoints": noisy.reshape(-1).tolist()}
                predictions.append({**result, "score": float(np.round(random.uniform(), 2))})
    pictures = [{"id": image, "file_name": f"{image}.jpg", "height": 600, "width": 600} for image in range(images)]
    return {"images": pictures, "annotations": annotations, "categories": [{"id": CATEGORY_ID, "name": "person"}]}, predictions


def scores(coco: dict[str, Any], predictions: list[dict[str, Any]], sigmas: list[float]) -> tuple[float | None, ...]:
    return dataclasses.astuple(keypoint_ap(coco, predictions, sigmas, CATEGORY_ID))


@pytest.mark.parametrize(("joints", "seed"), [(17, 0), (17, 1), (14, 2), (68, 3)])
def test_equals_pycocotools(joints: int, seed: int) -> None:
    coco, predictions = scene(joints, 40, seed)
    sigmas = np.random.default_rng(seed).uniform(0.03, 0.11, joints).tolist()
    expected = pycocotools_scores(coco, predictions, sigmas)
    assert expected[0] is not None
    assert 0.05 < expected[0] < 0.95  # neither trivial nor hopeless
    assert_same_scores(scores(coco, predictions, sigmas), expected)


def test_missing_areas_are_053_of_the_box() -> None:
    coco, predictions = scene(14, 30, 5)
    for annotation in coco["annotations"]:
        annotation["area"] = 0.53 * annotation["bbox"][2] * annotation["bbox"][3]
    for annotation in coco["annotations"]:
        del annotation["area"], annotation["num_keypoints"], annotation["iscrowd"]
        if annotation["image_id"] % 2:
            annotation["area"] = None
    coco["annotations"] = [a for a in coco["annotations"] if sum(a["keypoints"])]
    reference = scene(14, 30, 5)[0]
    for annotation in reference["annotations"]:
        annotation["area"] = 0.53 * annotation["bbox"][2] * annotation["bbox"][3]
    reference["annotations"] = [a for a in reference["annotations"] if sum(a["keypoints"])]
    expected = pycocotools_scores(reference, predictions, [0.08] * 14)
    assert expected[0] is not None
    assert expected[0] > 0.05
    assert_same_scores(scores(coco, predictions, [0.08] * 14), expected)


def test_no_predictions_score_zero_and_absent_sizes_none() -> None:
    coco, predictions = scene(17, 10, 6)
    for annotation in coco["annotations"]:
        annotation["area"] = 2000.0
    result = keypoint_ap(coco, predictions, [0.08] * 17, CATEGORY_ID)
    assert result.ap_large is None
    assert result.ap_medium is not None
    assert result.ap_medium > 0.1
    assert keypoint_ap(coco, [], [0.08] * 17, CATEGORY_ID).ap == 0.0


def test_inputs_are_not_changed() -> None:
    coco, predictions = scene(17, 10, 8)
    before = copy.deepcopy((coco, predictions))
    keypoint_ap(coco, predictions, [0.08] * 17, CATEGORY_ID)
    assert (coco, predictions) == before


def test_results_of_unknown_images() -> None:
    coco, predictions = scene(5, 3, seed=1)
    with pytest.raises(HRNetError, match="image 99"):
        keypoint_ap(coco, [{**predictions[0], "image_id": 99}], [0.05] * 5, CATEGORY_ID)
