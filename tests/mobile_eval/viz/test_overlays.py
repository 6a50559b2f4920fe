"""Pictures of what was found beside what is true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.viz import overlays
from mobile_eval.viz.masks import class_colors, compared, mask_overlay
from mobile_eval.viz.overlays import FOUND, TRUE, draw_keypoints, with_keypoints
from tests.mobile_eval.conftest import Invoke, People

CLASSES = ("sky", "road", "car")


def test_masks_lie_side_by_side_over_their_image() -> None:
    image = np.full((20, 40, 3), 100, np.uint8)
    truth, found = np.zeros((20, 40), np.uint8), np.full((20, 40), 2)
    truth[:5] = 255
    picture = compared(image, truth, found, CLASSES)
    np.testing.assert_array_equal(picture[:20, :40], mask_overlay(image, truth, CLASSES))
    assert (picture[:5, :80] == 100).all()  # ignored: as it is, on both sides
    expected = np.rint(100 + 0.55 * (class_colors(3)[2].astype(float) - 100))
    assert (picture[5:20, 40:] == expected).all()
    key = {tuple(color) for color in picture[20:].reshape(-1, 3).tolist()}
    first, road, third = (tuple(color) for color in class_colors(3).tolist())
    assert {first, third} <= key
    assert road not in key  # it neither occurs nor was found


def test_background_stays_as_it_is() -> None:
    image = np.full((4, 6, 3), 100, np.uint8)
    mask = np.repeat([[0, 0, 1, 1, 255, 255]], 4, axis=0)
    picture = mask_overlay(image, mask, ("Background", "person"))
    assert (picture[:, [0, 1, 4, 5]] == 100).all()
    assert (picture[:, 2:4] != 100).any(axis=-1).all()


def test_true_and_found_keypoints_in_their_colors() -> None:
    category = KeypointCategory("face", ("a", "b", "c"))
    true = np.array([[10.0, 10, 2], [30, 10, 2], [50, 50, 0]])
    found = np.array([[10.0, 30, 0.9], [30, 30, 0.01], [60, 60, 0.5]])
    drawn = with_keypoints(np.zeros((80, 80, 3), np.uint8), [true], [found], category)
    for x, y in ((10, 10), (30, 10)):
        assert tuple(drawn[y, x]) == TRUE
    for x, y in ((10, 30), (30, 30), (60, 60)):
        assert tuple(drawn[y, x]) == FOUND
    assert not drawn[50, 50].any()  # not labelled
    assert not drawn[10, 20].any()  # no bones
    boned = KeypointCategory("person", ("a", "b", "c"), ((0, 1), (1, 2)))
    drawn = with_keypoints(np.zeros((80, 80, 3), np.uint8), [true], [], boned)
    assert drawn[10, 20].any()
    assert not drawn[30, 40].any()  # one of its ends is not labelled


def test_only_the_first_images(people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlays, "PICTURES", 2)
    dataset = load_keypoint_dataset(people.annotations, people.images)
    draw_keypoints(tmp_path, dataset, [])
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == ["0000_000001.jpg", "0001_000002.jpg"]
    assert cv2.imread(str(tmp_path / "0001_000002.jpg")).shape == (140, 160, 3)


def test_pose_command(people: People, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / "of people"
    data = "--annotations", people.annotations, "--images", people.images
    assert invoke("evaluate", model_path(), *data, "--overlays", folder)[0] == 0
    assert len(list(folder.iterdir())) == 3
    picture, image = (cv2.imread(str(path)).astype(int) for path in (folder / "0000_000001.jpg", people.images / "000001.jpg"))
    assert (np.abs(picture - image).max(axis=-1) > 60).mean() > 0.01
