"""Data sets as values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from training.data.datasets import CocoBoxes, CocoKeypoints, FaceLandmarks, ImageFolder, MaskFolder


def test_keypoints_are_read_when_needed(drawn: Path) -> None:
    train, val = (drawn / f"person_keypoints_{split}.json" for split in ("train", "val"))
    data = CocoKeypoints(str(drawn / "images"), train=str(train), val=val)
    assert "train" not in vars(data)
    assert (len(data.train), len(data.val), len(data)) == (35, 10, 35)
    assert data.names[:2] == ("nose", "left_eye")
    assert data.train is data.train
    assert data.source("val") == DataSource(drawn / "images", val)
    assert repr(data) == f"CocoKeypoints(images='{drawn / 'images'}', train='{train}', val='{val}')"
    assert str(data).startswith("pose: 35 people for training, 10 people for validation; 17 labels: nose, ")
    assert data == CocoKeypoints(drawn / "images", train, val)
    assert data != FaceLandmarks(drawn / "images", train, val)


def test_validation_set_alone(drawn: Path) -> None:
    data = CocoKeypoints(drawn / "images", val=drawn / "person_keypoints_val.json")
    assert (data.has("train"), data.has("val"), len(data), bool(data)) == (False, True, 10, True)
    with pytest.raises(HRNetError, match=r"CocoKeypoints\(.*\) has no training set: give `train`$"):
        _ = data.train


def test_folders(drawn_for: Callable[[str], Path]) -> None:
    folder = drawn_for("segmentation")
    parts = [folder / split / name for split in ("train", "val") for name in ("images", "masks")]
    masks = MaskFolder(*parts)
    assert (len(masks.train), len(masks.val), len(masks.names)) == (24, 10, 5)
    assert MaskFolder(val_images=parts[2], val_masks=parts[3]).source("val") == masks.source("val")
    folder = drawn_for("classification")
    images = ImageFolder(folder / "train", folder / "val")
    assert (len(images.train), len(images.val), len(images.names)) == (34, 14, 3)
    with pytest.raises(HRNetError, match=r"ImageFolder\(train=.*\) has no validation set: give `val`"):
        _ = ImageFolder(folder / "train").val


def test_boxes(shapes: Path) -> None:
    data = CocoBoxes(shapes / "images", shapes / "train.json", shapes / "val.json")
    assert (data.task, len(data.train), data.names) == ("detection", 16, ("square", "disc"))


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match=r"`images` .*nowhere does not exist"):
        CocoKeypoints(tmp_path / "nowhere", train=tmp_path)
    with pytest.raises(HRNetError, match="CocoKeypoints needs `train` for training, or `val` for validation"):
        CocoKeypoints(tmp_path)
    with pytest.raises(HRNetError, match="MaskFolder needs `images` and `masks` for training, or `val_images` and `val_masks`"):
        MaskFolder()
    with pytest.raises(HRNetError, match="`val_images` needs `val`"):
        CocoKeypoints(tmp_path, tmp_path, val_images=tmp_path)
    with pytest.raises(HRNetError, match="`train` must be a path, got 5"):
        ImageFolder(5)  # type: ignore[arg-type]
