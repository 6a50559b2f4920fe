"""COCO's box scores against pycocotools on the same detections."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.metrics.box_ap import box_ap, box_ap_of_files
from tests.mobile_eval.pycocotools_scores import assert_same_scores, pycocotools_scores

Entries = list[dict[str, Any]]
CATEGORIES = (2, 5, 9)


def scene(images: int, seed: int) -> tuple[dict[str, Any], Entries]:
    """Boxes of all sizes, crowds and empty images, with noisy, duplicate, misclassified and false detections."""
    random = np.random.default_rng(seed)
    annotations: Entries = []
    results: Entries = []
    for image in range(images):
        for _ in range(random.integers(0, 8)):
            width, height = np.exp(random.uniform(2, 5.3, 2))
            box = np.array([*random.uniform(0, 300, 2), width, height])
            known = {"image_id": image, "category_id": int(random.choice(CATEGORIES))}
            flags = {"id": len(annotations) + 1, "iscrowd": int(random.random() < 0.1), "area": width * height * 0.8}
            annotations.append({**known, **flags, "bbox": box.tolist()})
            for _ in range(random.integers(0, 3)):
                noisy = box + random.normal(0, random.choice([0.02, 0.1, 0.3])) * np.array([width, height, width, height])
                noisy[2:] = np.abs(noisy[2:])
                category = int(random.choice(CATEGORIES)) if random.random() < 0.2 else known["category_id"]
                score = float(np.round(random.uniform(), 2))
                results.append({"image_id": image, "category_id": category, "bbox": noisy.tolist(), "score": score})
    pictures = [{"id": image, "file_name": f"{image}.jpg", "height": 600, "width": 600} for image in range(images)]
    categories = [{"id": number, "name": str(number)} for number in CATEGORIES]
    return {"images": pictures, "annotations": annotations, "categories": categories}, results


def check_scores(coco: dict[str, Any], results: Entries) -> None:
    expected = pycocotools_scores(coco, results)
    assert expected[0] is not None
    assert 0.05 < expected[0] < 0.95  # neither trivial nor hopeless
    assert_same_scores(dataclasses.astuple(box_ap(coco, results)), expected)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_pycocotools(seed: int) -> None:
    coco, results = scene(60, seed)
    check_scores(coco, results)


def test_blood_cells_equal_pycocotools(bccd: Path) -> None:
    coco = json.loads((bccd / "instances_val.json").read_text())
    random = np.random.default_rng(0)
    results = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "score": float(random.uniform())}
        | {"bbox": [*(np.array(a["bbox"][:2]) + random.normal(0, 6, 2)).tolist(), *a["bbox"][2:]]}
        for a in coco["annotations"]
    ]
    check_scores(coco, results)


def test_by_hand() -> None:
    coco, _ = scene(2, 0)
    coco["annotations"] = [{"image_id": 0, "category_id": 2, "bbox": [0, 0, 50, 50]}]  # a medium box without area
    miss = {"image_id": 0, "category_id": 2, "bbox": [100, 100, 50, 50], "score": 0.9}
    hit = {"image_id": 0, "category_id": 2, "bbox": [0, 0, 50, 50], "score": 0.5}
    result = box_ap(coco, [miss, hit])
    assert result.ap == pytest.approx(0.5)  # ranked after a false detection: precision 1/2 at every recall
    assert (result.ar1, result.ar10, result.ap_small) == (0.0, 1.0, None)
    assert str(result) == "AP 0.5000  AP50 0.5000  AP75 0.5000  AR100 1.0000"
    assert box_ap(coco, []).ap == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 99}, "result 1: image_id 99"),
        ({"category_id": 99}, "result 1: category_id 99"),
        ({"score": None}, "result 1: .*score.* None"),
        ({"bbox": [1, 2, 3]}, r"result 1: bbox .*got \[1, 2, 3\]"),
        ({"bbox": [1, 2, -3, 4]}, r"result 1: bbox \[1, 2, -3, 4\]"),
    ],
)
def test_invalid_results_are_named(change: dict[str, Any], message: str) -> None:
    coco, results = scene(5, 0)
    with pytest.raises(HRNetError, match=message):
        box_ap(coco, [{**results[0], **change}])


def test_files(tmp_path: Path) -> None:
    coco, results = scene(10, 3)
    annotations, detections = tmp_path / "instances.json", tmp_path / "results.json"
    annotations.write_text(json.dumps(coco))
    detections.write_text(json.dumps(results))
    assert box_ap_of_files(annotations, detections) == box_ap(coco, results)
    with pytest.raises(HRNetError, match=r"instances\.json"):
        box_ap_of_files(annotations, annotations)
    with pytest.raises(HRNetError, match=r"results\.json"):
        box_ap_of_files(detections, detections)
