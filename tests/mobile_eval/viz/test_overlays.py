"""Overlays of annotations and predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.viz.masks import class_colors, mask_comparison, mask_overlay
from mobile_eval.viz.overlays import ANNOTATED, PREDICTED, draw_keypoints, with_keypoints
from tests.mobile_eval.conftest import Invoke, People

CLASSES = ("sky", "road", "car")


def test_masks_side_by_side() -> None:
    image = np.full((20, 40, 3), 100, np.uint8)
    truth, prediction = np.zeros((20, 40), np.uint8), np.full((20, 40), 2)
    truth[:5] = 255
    picture = mask_comparison(image, truth, prediction, CLASSES)
    np.testing.assert_array_equal(picture[:20, :40], mask_overlay(image, truth, CLASSES))
    assert (picture[:5, :80] == 100).all()  # ignored
    expected = np.rint(100 + 0.55 * (class_colors(3)[2].astype(float) - 100))
    assert (picture[5:20, 40:] == expected).all()
    key = {tuple(color) for color in picture[20:].reshape(-1, 3).tolist()}
    first, road, third = (tuple(color) for color in class_colors(3).tolist())
    assert {first, third} <= key
    assert road not in key  # in neither mask


def test_background_is_not_tinted() -> None:
    image = np.full((4, 6, 3), 100, np.uint8)
    mask = np.repeat([[0, 0, 1, 1, 255, 255]], 4, axis=0)
    picture = mask_overlay(image, mask, ("Background", "person"))
    assert (picture[:, [0, 1, 4, 5]] == 100).all()
    assert (picture[:, 2:4] != 100).any(axis=-1).all()


def test_annotated_and_predicted_keypoints_have_their_colors() -> None:
    category = KeypointCategory("face", ("a", "b", "c"))
    annotated = np.array([[10.0, 10, 2], [30, 10, 2], [50, 50, 0]])
    predicted = np.array([[10.0, 30, 0.9], [30, 30, 0.01], [60, 60, 0.5]])
    drawn = with_keypoints(np.zeros((80, 80, 3), np.uint8), [annotated], [predicted], category)
    for x, y in ((10, 10), (30, 10)):
        assert tuple(drawn[y, x]) == ANNOTATED
    for x, y in ((10, 30), (30, 30), (60, 60)):
        assert tuple(drawn[y, x]) == PREDICTED
    assert not drawn[50, 50].any()  # not labelled
    assert not drawn[10, 20].any()  # no bones
    boned = KeypointCategory("person", ("a", "b", "c"), ((0, 1), (1, 2)))
    drawn = with_keypoints(np.zeros((80, 80, 3), np.uint8), [annotated], [], boned)
    assert drawn[10, 20].any()
    assert not drawn[30, 40].any()  # an end of the bone is not labelled


def test_number_of_pictures(people: People, tmp_path: Path) -> None:
    dataset = load_keypoint_dataset(people.annotations, people.images)
    draw_keypoints(tmp_path, dataset, [], limit=2)
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == ["0000_000001.jpg", "0001_000002.jpg"]
    assert cv2.imread(str(tmp_path / "0001_000002.jpg")).shape == (140, 160, 3)


def test_pose_command(people: People, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / "of people"
    data = "--annotations", people.annotations, "--images", people.images
    assert invoke("evaluate", model_path(), *data, "--overlays", folder)[0] == 0
    assert len(list(folder.iterdir())) == 3
    picture, image = (cv2.imread(str(path)).astype(int) for path in (folder / "0000_000001.jpg", people.images / "000001.jpg"))
    assert (np.abs(picture - image).max(axis=-1) > 60).mean() > 0.01
