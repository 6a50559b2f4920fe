"""Augmentation against values worked out by hand from the official code's formulas."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_tf.spec.keypoint_categories import COCO_PERSON, MPII_PERSON
from mobile_eval.image.geometry import transform_points
from training.tasks.pose.augmentation import Augmentation, half_body, random_crop, upper_body

SIZE = (256, 192)
BOX = (100.0, 50.0, 90.0, 160.0)  # centre (145, 130), made 3:4 at 120 x 160, times 1.25: 150 x 200
NONE = Augmentation(rotation=0, scale=0, flip_probability=0, half_body_probability=0)


class FixedGenerator(np.random.Generator):
    """A generator that returns the given values in turn."""

    def __init__(self, *values: float):
        super().__init__(np.random.PCG64())
        self.values = list(values)

    def random(self) -> float:  # type: ignore[override]
        return self.values.pop(0)

    def standard_normal(self) -> float:  # type: ignore[override]
        return self.values.pop(0)


def person_keypoints() -> np.ndarray:
    """COCO keypoints (17, 3): upper body at x 100 to 160, y 60 to 100; lower body at x 120 to 150, y 150 to 200."""
    keypoints = np.zeros((17, 3))
    keypoints[:11] = np.column_stack([np.linspace(100, 160, 11), np.linspace(60, 100, 11), np.full(11, 2)])
    keypoints[11:] = np.column_stack([np.linspace(120, 150, 6), np.linspace(150, 200, 6), np.full(6, 2)])
    return keypoints


def crop(augmentation: Augmentation, *values: float) -> tuple[np.ndarray, bool]:
    upper = upper_body(tuple(COCO_PERSON["keypoints"]))
    rng = FixedGenerator(*values)
    matrix_and_mirrored = random_crop(BOX, person_keypoints(), upper, SIZE, augmentation, rng)
    assert rng.values == []
    return matrix_and_mirrored


def test_default_constants_are_those_of_the_paper() -> None:
    assert Augmentation() == Augmentation(45.0, 0.6, 0.35, 0.5, 0.3)


def test_upper_body_by_keypoint_names() -> None:
    coco, mpii = (upper_body(tuple(category["keypoints"])) for category in (COCO_PERSON, MPII_PERSON))
    assert coco is not None
    assert mpii is not None
    assert np.flatnonzero(coco).tolist() == list(range(11))  # the official upper_body_ids of COCO
    assert np.flatnonzero(mpii).tolist() == list(range(7, 16))  # and of MPII
    assert upper_body(("left_ankle", "tail")) is None


def test_crop_without_augmentation() -> None:
    matrix, mirrored = crop(NONE, 0.0, 0.9, 0.9)
    assert not mirrored
    np.testing.assert_allclose(matrix, [[1.28, 0, 96 - 1.28 * 145], [0, 1.28, 128 - 1.28 * 130]])


def test_scale_rotation_and_mirroring() -> None:
    scaled, _ = crop(Augmentation(half_body_probability=0), 0.5, 0.9, 0.9)  # 1 + 0.35 x 0.5 = 1.175
    assert scaled[0, 0] == pytest.approx(1.28 / 1.175)
    cut, _ = crop(Augmentation(half_body_probability=0), -3.0, 0.9, 0.9)  # cut at 0.65
    assert cut[0, 0] == pytest.approx(1.28 / 0.65)
    turned, _ = crop(Augmentation(scale=0, half_body_probability=0), 0.0, 0.5, 3.0, 0.9)  # 45 x 2 = 90 degrees
    np.testing.assert_allclose(turned[:, :2], [[0, -1.28], [1.28, 0]], atol=1e-12)
    flipped, mirrored = crop(Augmentation(scale=0, half_body_probability=0), 0.0, 0.9, 0.1)
    assert mirrored
    np.testing.assert_allclose(transform_points([[145.0, 130.0], [155.0, 130.0]], flipped), [[96, 128], [96 - 12.8, 128]])


def test_half_body_crops() -> None:
    """Upper: mean (130, 80), 60 x 40 made 60 x 80, times 1.5: 90 x 120. Lower: mean (135, 175), 37.5 x 50: 56.25 x 75."""
    upper, _ = crop(Augmentation(scale=0, rotation=0), 0.2, 0.4, 0.0, 0.9, 0.9)
    np.testing.assert_allclose(upper, [[192 / 90, 0, 96 - 192 / 90 * 130], [0, 192 / 90, 128 - 192 / 90 * 80]])
    lower, _ = crop(Augmentation(scale=0, rotation=0), 0.2, 0.6, 0.0, 0.9, 0.9)
    np.testing.assert_allclose(lower, [[192 / 56.25, 0, 96 - 192 / 56.25 * 135], [0, 192 / 56.25, 128 - 192 / 56.25 * 175]])
    full_body, _ = crop(Augmentation(scale=0, rotation=0), 0.31, 0.0, 0.9, 0.9)
    assert full_body[0, 0] == pytest.approx(1.28)


def test_half_body_needs_enough_keypoints() -> None:
    upper = upper_body(tuple(COCO_PERSON["keypoints"]))
    assert upper is not None
    keypoints = person_keypoints()
    keypoints[13:, 2] = 0  # only two lower keypoints: always the upper half
    center, _ = half_body(keypoints, upper, SIZE, FixedGenerator(3.0)) or (np.zeros(2), None)
    np.testing.assert_allclose(center, [130, 80])
    keypoints[:, 2] = 0
    assert half_body(keypoints, upper, SIZE, FixedGenerator(0.0)) is None
    keypoints[:8, 2] = 2  # eight keypoints are too few: no random number is used for a half body
    rng = FixedGenerator(0.0, 0.9, 0.9)
    assert random_crop(BOX, keypoints, upper, SIZE, Augmentation(), rng)[0][0, 0] == pytest.approx(1.28)
    assert rng.values == []
