"""Files with several keypoint categories: the choice, and the report on the others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.registry import TASKS
from tests.mobile_eval.conftest import JOINTS, Invoke, People, one_line

DOG = {"id": 2, "name": "dog", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}


@pytest.fixture
def both(people: People) -> People:
    """The drawn people with a dog as the last labelled instance; the category of dogs comes first."""
    people.coco["categories"].insert(0, dict(DOG))
    people.coco["annotations"][3].update(category_id=2, keypoints=[40.0, 40.0, 2, 50.0, 50.0, 1])
    people.rewrite()
    return people


def test_several_used_categories_need_a_choice(both: People) -> None:
    several = re.escape("several categories with keypoints ('dog' (id 2): 1 annotation, 'person' (id 1): 4 annotations)")
    with pytest.raises(HRNetError, match=f"people.json has {several}; choose one with `category`"):
        load_keypoint_dataset(both.annotations, both.images)


@pytest.mark.parametrize(
    ("options", "joints", "count", "remark"),
    [
        ({"category": "dog"}, 2, 1, "category 'dog' is used, not 'person' with 4 annotations"),
        ({"category": "2"}, 2, 1, "category 'dog' is used, not 'person' with 4 annotations"),
        ({"category": "person"}, 17, 3, "category 'person' is used, not 'dog' with 1 annotation"),
        ({"expected": "person"}, 17, 3, "category 'person' is used, not 'dog' with 1 annotation"),
        ({"category": "dog", "expected": "person"}, 2, 1, "category 'dog' is used, not 'person' with 4 annotations"),
    ],
)
def test_chosen_category(both: People, options: dict[str, str], joints: int, count: int, remark: str) -> None:
    data = load_keypoint_dataset(both.annotations, both.images, **options)
    assert (len(data.category.joints), len(data)) == (joints, count)
    assert data.remarks[0] == remark
    assert [entry["name"] for entry in data.coco["categories"]] == [data.category.name]
    assert {entry["category_id"] for entry in data.coco["annotations"]} == {data.category_id}


@pytest.mark.parametrize("category", ["cat", "3", "Person"])
def test_unknown_category(both: People, category: str) -> None:
    with pytest.raises(HRNetError, match=rf"'{category}'; .* 'dog' \(id 2\), 'person' \(id 1\)"):
        load_keypoint_dataset(both.annotations, both.images, category=category)


def test_categories_with_the_same_name_are_chosen_by_id(both: People) -> None:
    both.coco["categories"][0]["name"] = "person"
    both.rewrite()
    for options in ({"category": "person"}, {"expected": "person"}):
        with pytest.raises(HRNetError, match=r"2 categories are named 'person'|choose one with `category`"):
            load_keypoint_dataset(both.annotations, both.images, **options)
    assert len(load_keypoint_dataset(both.annotations, both.images, category="2")) == 1


def test_the_only_used_category_needs_no_choice(people: People) -> None:
    people.coco["categories"].insert(0, dict(DOG))
    people.rewrite()
    data = load_keypoint_dataset(people.annotations, people.images)
    assert (data.category.name, len(data)) == ("person", 4)
    assert data.remarks[0] == "category 'person' is used, not 'dog' with 0 annotations"


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_the_category_of_the_model_is_chosen(
    command: str, both: People, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path
) -> None:
    model, data = model_path(), ("--annotations", both.annotations, "--images", both.images)
    more: tuple[object, ...] = ("--json", tmp_path / "figures.json")
    if command == "compare":
        more = ("--output", tmp_path / "report", "--rounds", 1)
    code, _, error = invoke(command, model, *data, *more)
    assert code == 0
    assert f"{both.annotations}: category 'person' is used, not 'dog' with 1 annotation" in error
    code, _, error = invoke(command, model, *data, "--category", "dog", *more)
    assert code == 2
    assert "finds 17 joints (nose, " in one_line(error)
    if command == "evaluate":
        assert json.loads((tmp_path / "figures.json").read_text())["options"]["category"] is None


def test_data_source_keeps_the_category() -> None:
    source = DataSource(Path("images"), Path("a.json"), category="dog", strict=True, expected="person")
    plain = source.to_json()
    assert plain == {"images": "images", "annotations": "a.json", "category": "dog", "strict": True}
    assert DataSource.from_json(json.loads(json.dumps(plain))) == DataSource(
        Path("images"), Path("a.json"), category="dog", strict=True
    )
    assert source.paths == (Path("images"), Path("a.json"))


def test_detection_takes_no_category() -> None:
    assert "category" not in TASKS["detection"].takes
    assert "strict" in TASKS["detection"].takes


@pytest.mark.parametrize(
    ("skeleton", "bones"),
    [
        ([[1, 2], [16, 17]], ((0, 1), (15, 16))),
        ([[0, 1], [15, 16]], ((0, 1), (15, 16))),  # counted from 0
        ([[1, 2], [17, 18]], ((0, 1),)),
        ([[0, 17], [0, 2]], ((0, 2),)),
        ([[-1, 2], [2.0, 3]], ((1, 2),)),
        ([[1], 5, None, ["a", "b"], [1, 2, 3], [1.5, 2], [True, 2]], ()),
        ("none", ()),
        (None, ()),
        ({"1": 2}, ()),
    ],
)
def test_skeletons_refer_to_known_joints(skeleton: Any, bones: tuple[tuple[int, int], ...]) -> None:
    category = KeypointCategory.from_json({"name": "person", "keypoints": list(JOINTS), "skeleton": skeleton})
    assert category.skeleton == bones
    assert KeypointCategory.from_json(category.to_json()) == category
