"""COCO instances of other tools: scores equal pycocotools on the same boxes."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobile_eval.datasets.coco.detection import load_detection_dataset
from mobile_eval.metrics.box_ap import box_ap
from mobile_eval.tasks.detection.evaluate import measure_boxes
from tests.mobile_eval.pycocotools_scores import assert_same_scores, pycocotools_scores

FILES = 60
Coco = dict[str, Any]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(6):
        (folder / f"{number}.png").touch()
    return folder


def draw(random: np.random.Generator) -> tuple[Coco, list[dict[str, Any]]]:
    """Boxes and crowds of three classes, with the area of their boxes, and noisy and false detections."""
    images = [{"id": i + 1, "file_name": f"{i}.png", "width": 640, "height": 480} for i in range(6)]
    annotations, results = [], []
    for image in images[:-1]:  # the last image is background
        for _ in range(random.integers(1, 6)):
            box = [*random.uniform(0, 300, 2), *np.exp(random.uniform(2, 5, 2))]
            annotation = {"image_id": image["id"], "category_id": int(random.integers(1, 4)), "bbox": list(map(float, box))}
            flags = {"id": len(annotations) + 1, "area": float(box[2] * box[3]), "iscrowd": int(random.random() < 0.1)}
            annotations.append({**annotation, **flags})
            noisy = [*(np.array(box[:2]) + random.normal(0, 5, 2)).tolist(), *annotation["bbox"][2:]]
            results.append({**annotation, "bbox": noisy, "score": round(float(random.uniform()), 1)})
    results += [{**results[0], "image_id": 6, "score": 0.7}]
    categories = [{"id": i, "name": name} for i, name in enumerate(("a", "b", "c"), 1)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}, results


def as_other_tools_write(coco: Coco, random: np.random.Generator) -> tuple[Coco, dict[str, dict[int, Any]]]:
    """The file with different ids (in the same order), areas and crowds; returns the file and the new ids by name and old id."""
    coco = copy.deepcopy(coco)
    ids = {
        "image_id": dict(
            enumerate([["a", "b", "c", "d", "e", "f"], list(range(6)), [2, 3, 5, 8, 13, 1000]][random.integers(3)], 1)
        ),
        "category_id": dict(enumerate([["x", "y", "z"], [0, 1, 2], [7, 70, 700]][random.integers(3)], 1)),
    }
    for entry in coco["annotations"]:
        entry.update({name: new_ids[entry[name]] for name, new_ids in ids.items()})
        entry["area"] = [0, None, math.nan, -3][random.integers(4)] if random.random() < 0.5 else entry["area"]
        entry["id"] = [entry["id"] % 2, 0, f"n{entry['id']}", math.nan][random.integers(4)]
    for name, table in (("image_id", "images"), ("category_id", "categories")):
        for entry in coco[table]:
            entry["id"] = ids[name][entry["id"]]
        random.shuffle(coco[table])
    crowd = {**coco["annotations"][0], "iscrowd": 1}
    for change in ({"bbox": None}, {"bbox": [0, 0, 0, 0]}, {"image_id": "nowhere"}, {"category_id": []}):
        coco["annotations"].append({**crowd, **change})
    del crowd["bbox"]
    coco["annotations"].append(crowd)
    return coco, ids


def test_scores_equal_pycocotools(images: Path) -> None:
    path, aps = images / "boxes.json", []
    for seed in range(FILES):
        random = np.random.default_rng(seed)
        clean, results = draw(random)
        coco, ids = as_other_tools_write(clean, random)
        path.write_text(json.dumps(coco))
        data = load_detection_dataset(path, images)
        assert (len(data), data.classes) == (6, ("a", "b", "c"))
        renumbered = [{**entry, **{name: new_ids[entry[name]] for name, new_ids in ids.items()}} for entry in results]
        expected = pycocotools_scores(clean, results)
        for result in (measure_boxes(data, renumbered), box_ap({**coco, "annotations": coco["annotations"][:-5]}, renumbered)):
            assert_same_scores(dataclasses.astuple(result), expected, str(seed))
        aps.append(expected[0])
    assert 0.1 < np.mean(aps) < 0.9
