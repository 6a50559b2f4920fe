"""Held-out parts of a training set: by name, complete, and the same everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from mobile_eval.errors import HRNetError
from training.data.split import is_held_out, split_annotations

NAMES = [f"im{number:05}.jpg" for number in range(400)]


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    images = [{"id": number, "file_name": name} for number, name in enumerate(NAMES)]
    labels = [{"id": number, "image_id": number // 2} for number in range(2 * len(NAMES))]
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"images": images, "annotations": labels, "categories": [{"id": 1, "name": "person"}]}))
    return path


def test_every_image_is_in_one_part_with_its_annotations(annotations: Path, tmp_path: Path) -> None:
    split = split_annotations(annotations, tmp_path / "split", 0.2)
    rest, held_out = (json.loads(path.read_text()) for path in (split.rest, split.held_out))
    names = [[image["file_name"] for image in part["images"]] for part in (rest, held_out)]
    assert sorted(names[0] + names[1]) == NAMES
    assert (len(names[0]), len(names[1])) == (split.rest_images, split.held_out_images)
    assert 60 <= split.held_out_images <= 100  # 80 are expected, with a standard deviation of 8
    for part in (rest, held_out):
        assert [label["image_id"] for label in part["annotations"]] == [n for image in part["images"] for n in [image["id"]] * 2]
        assert part["categories"] == [{"id": 1, "name": "person"}]
    first = hashlib.sha256(NAMES[0].encode()).hexdigest()
    assert is_held_out(NAMES[0], 0.5) == (int(first[0], 16) < 8)
    assert {name for name in NAMES if is_held_out(name, 0.1)} < set(names[1])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan"), 1e-9])
def test_both_parts_have_images(annotations: Path, tmp_path: Path, fraction: float) -> None:
    with pytest.raises(HRNetError, match="`fraction`"):
        split_annotations(annotations, tmp_path / "split", fraction)
    assert not (tmp_path / "split").exists()


def test_damaged_files_are_named(annotations: Path, tmp_path: Path) -> None:
    data = json.loads(annotations.read_text())
    data["images"][3].pop("file_name")
    annotations.write_text(json.dumps(data))
    with pytest.raises(HRNetError, match=r"train.json: images: file_name"):
        split_annotations(annotations, tmp_path / "split", 0.5)
