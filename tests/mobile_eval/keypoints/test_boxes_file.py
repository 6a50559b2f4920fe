"""Boxes for `predict`: by path, category and score; and invalid box files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.keypoints.boxes_file import BoxChoice, load_boxes
from tests.mobile_eval.conftest import Invoke, People, one_line

BOX = [5, 6, 7, 8]


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_boxes_by_name_id_and_table(people: People, tmp_path: Path) -> None:
    images = sorted(people.images.iterdir())
    entries: list[dict[str, Any]] = [
        {"file_name": "000002.jpg", "bbox": [1, 2, 3, 4]},
        {"image_id": 3, "bbox": BOX, "score": 0.5},
        {"image_id": 3.0, "bbox": BOX},
        {"image_id": 77, "bbox": BOX},
        {"image_id": "other", "bbox": None},
    ]
    path = written(tmp_path, entries)
    assert load_boxes(path, images) == {images[1]: [(1, 2, 3, 4)], images[2]: [(5, 6, 7, 8)] * 2}
    assert len(load_boxes(people.annotations, images)[images[0]]) == 2
    people.coco["annotations"][0]["iscrowd"] = 1
    people.rewrite()
    assert len(load_boxes(people.annotations, images)[images[0]]) == 1


def test_boxes_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = [Path("data/a/1.jpg"), Path("data/b/1.jpg"), Path("c/2.jpg")]
    names = ["a/1.jpg", "data/b/1.jpg", "./b/1.jpg", "2.jpg", str(tmp_path / "c/2.jpg"), "d/2.jpg", "ata/a/1.jpg"]
    entries = [{"file_name": name, "bbox": [index, 1, 2, 3]} for index, name in enumerate(names)]
    edges = {image: [box[0] for box in boxes] for image, boxes in load_boxes(written(tmp_path, entries), images).items()}
    assert edges == {images[0]: [0], images[1]: [1, 2], images[2]: [3, 4]}
    table = {"images": [{"id": 9, "file_name": "b/1.jpg"}], "annotations": [{"image_id": 9, "bbox": BOX}]}
    assert list(load_boxes(written(tmp_path, table), images)) == [images[1]]
    for entry in ({"file_name": "1.jpg", "bbox": BOX}, {"image_id": 1, "bbox": BOX}):
        with pytest.raises(HRNetError, match=r"entry 0: .*data/a/1\.jpg.*data/b/1\.jpg"):
            load_boxes(written(tmp_path, [entry]), images)


@pytest.mark.parametrize(
    ("choice", "named", "unnamed"),
    [
        (BoxChoice(), [1, 3], [1, 3]),
        (BoxChoice(min_score=0), [1, 2, 3], [1, 2, 3]),
        (BoxChoice(min_score=0.9), [1], [1]),
        (BoxChoice(default_category="dog"), [4], None),
        (BoxChoice("dog"), [4], None),
        (BoxChoice("18"), [4], [4]),
        (BoxChoice("1", min_score=0.5), [1, 3], [1, 3]),
        (BoxChoice("cat"), None, None),
        (BoxChoice(default_category="face"), None, None),
    ],
)
def test_category_and_score(choice: BoxChoice, named: list[int] | None, unnamed: list[int] | None, tmp_path: Path) -> None:
    scored = [(1, 1, {}), (1, 2, {"score": 0.1}), (1, 3, {"score": 0.6}), (18, 4, {"score": 0.8})]
    entries = [{"image_id": 7, "category_id": of, "bbox": [x, 1, 9, 9], **score} for of, x, score in scored]
    table = {
        "images": [{"id": 7, "file_name": "000007.jpg"}],
        "annotations": entries,
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
    }
    for content, expected in ((table, named), (entries, unnamed)):
        path = written(tmp_path, content)
        if expected is None:
            with pytest.raises(HRNetError, match=r"boxes.json has no category '\w+', there are .*"):
                load_boxes(path, ["000007.jpg"], choice)
        else:
            assert [box[0] for box in load_boxes(path, ["000007.jpg"], choice)[Path("000007.jpg")]] == expected


def test_a_single_category_needs_no_name(tmp_path: Path) -> None:
    entries = [{"image_id": 7, "category_id": 0, "bbox": BOX, "score": 0.9}]
    table = {"images": [{"id": 7, "file_name": "7.jpg"}], "annotations": entries, "categories": [{"id": 0, "name": "pedestrian"}]}
    for content in (entries, table):
        assert load_boxes(written(tmp_path, content), ["7.jpg"], BoxChoice(default_category="person")) == {
            Path("7.jpg"): [(5, 6, 7, 8)]
        }


def entry(**changes: Any) -> str:
    return json.dumps([{"file_name": "000001.jpg", "bbox": [1, 2, 3, 4], **changes}])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "boxes file .* is empty"),
        ('"text"', "must hold COCO annotations"),
        ("3", "must hold COCO annotations"),
        ('{"annotations": 3}', "must hold COCO annotations"),
        ('[{"file_name": "000001.jpg", "bbox": [1, 2, 3, 4]}, 7]', "entry 1: .*'7'"),
        ('{"images": 1, "annotations": []}', "'images' .*got 1"),
        ('{"images": [4], "annotations": []}', "'images'"),
        ('{"categories": {}, "annotations": []}', "'categories'"),
        ('{"images": [{"id": 1}], "annotations": []}', "image 0: .*file_name"),
        ('{"images": [{"id": [1], "file_name": "a"}], "annotations": []}', "image 0: .*file_name"),
        (
            '{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], "annotations": []}',
            "image 1: the id 1 is also that of a",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2}]}',
            "entry 0: image_id 2 is not among the file",
        ),
        (
            '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": [2]}]}',
            "entry 0: image_id .* is not among the file",
        ),
        ('[{"bbox": [1, 2, 3, 4]}]', "entry 0: .*file_name"),
        ('[{"image_id": {}, "bbox": [1, 2, 3, 4]}]', "entry 0: image_id .*got {}"),
        (entry(file_name=5), "entry 0: file_name .*got 5"),
        (entry(file_name=""), "entry 0: file_name .*got ''"),
        (entry(bbox=[1, 2, 3]), r"entry 0: bbox .*got \[1.0, 2.0, 3.0\]"),
        (entry(bbox=None), "entry 0: bbox .*got None"),
        (entry(bbox="1234"), "entry 0: bbox .*got '1234'"),
        (entry(bbox={"x": 1}), "entry 0: bbox .*got {'x': 1}"),
        (entry(bbox=[1, 2, "3", 4]), "entry 0: bbox .*got '3'"),
        (entry(bbox=[1, 2, True, 4]), "entry 0: bbox .*got 'True'"),
        (entry(bbox=[1, 2, [3], 4]), r"entry 0: bbox .*got .*\[3\]"),
        (entry(bbox=[1, float("nan"), 3, 4]), "entry 0: bbox .*got 'nan'"),
        (entry(bbox=[1, 2, float("inf"), 4]), "entry 0: bbox .*got 'inf'"),
        (entry(bbox=[1, 10**400, 3, 4]), "entry 0: bbox .*got '1000"),
        (entry(bbox=[1, 2**63, 3, 4]), "entry 0: bbox .*1,000,000 pixels"),
        (entry(bbox=[1, 2, 1e300, 4]), "entry 0: bbox .*1,000,000 pixels"),
        (entry(bbox=[-1e12, 2, 3, 4]), "entry 0: bbox .*1,000,000 pixels"),
        (entry(bbox=[1, 2, 0, 4]), "has no area"),
        (entry(bbox=[0.1, 0.2, 0.3, 0.4]), "smaller than a pixel"),
        (entry(bbox=[1, 2, 1e-300, 1e-300]), "smaller than a pixel"),
        (entry(score="high"), "entry 0: score .*got 'high'"),
        (entry(score=float("nan")), "entry 0: score .*got 'nan'"),
        (entry(category_id=[1]), r"entry 0: category_id .*got \[1\]"),
        (entry(score=0.2), "0.3 .*000001.jpg"),
        (entry(iscrowd=1), "0.3 .*000001.jpg"),
        (entry(file_name="other.jpg"), "0.3 .*000001.jpg"),
        (entry(file_name="elsewhere/000001.jpg"), "entries need file_name, the end of an image's path, or image_id"),
    ],
)
def test_bad_files(people: People, tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(HRNetError, match=message) as caught:
        load_boxes(written(tmp_path, content), sorted(people.images.iterdir()))
    assert "boxes.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_seeded_mutants_are_read_or_refused(people: People, tmp_path: Path) -> None:
    images = sorted(people.images.iterdir())
    values: list[Any] = [None, True, 2**63, -1, 0.5, "", "a", [], [1], {}, float("nan"), float("inf"), 10**400]
    refused: list[str] = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        data: Any = copy.deepcopy(people.coco)
        for _ in range(rng.integers(1, 3)):
            place, keys = data, []
            while isinstance(place, dict | list) and place and (not keys or rng.random() < 0.8):
                key: Any = list(place)[rng.integers(len(place))] if isinstance(place, dict) else int(rng.integers(len(place)))
                keys.append((place, key))
                place = place[key]
            holder, key = keys[-1]
            holder[key] = values[rng.integers(len(values))]
        try:
            boxes = load_boxes(written(tmp_path, data), images)
        except ValueError as error:
            refused.append(str(error))
        else:
            assert np.isfinite(np.concatenate([np.ravel(of_image) for of_image in boxes.values()])).all()
    assert 0 < len(refused) < 300
    assert all("boxes.json" in line for line in refused)


@pytest.mark.parametrize("content", ['{"images": 1, "annotations": []}', entry(bbox=[32.6, 2**63, 50.9, 144.1])])
def test_command(content: str, people: People, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path) -> None:
    boxes, out = written(tmp_path, content), tmp_path / "out"
    code, _, error = invoke("predict", model_path(), people.images / "000001.jpg", "--boxes", boxes, "--output", out)
    assert code == 2
    assert "boxes.json" in one_line(error)
    assert not out.exists()
