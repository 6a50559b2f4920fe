"""The training pipeline: targets where the joints are, the device's own crops, and nothing by chance."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.spec import HRNetSpec
from mobile_eval.datasets.coco import KeypointDataset, load_keypoint_dataset
from mobile_eval.decode import decode_heatmaps, keypoints_in_image
from mobile_eval.geometry import box_matrix
from training.data import Augmentation, augmented_example, crop_target, plain_crops, steps_per_epoch, training_dataset

NONE = Augmentation(rotation=0.0, scale=0.0, flip_probability=0.0)
MIRROR = Augmentation(rotation=0.0, scale=0.0, flip_probability=1.0)


@pytest.fixture(scope="module")
def people(drawn: Path) -> KeypointDataset:
    return load_keypoint_dataset(drawn / "person_keypoints_train.json", drawn / "images")


def test_targets_decode_to_the_joints(people: KeypointDataset, spec: HRNetSpec) -> None:
    for person in people.persons[:8]:
        matrix = box_matrix(person.box, spec.input_size)
        heatmaps, weights = crop_target(person, matrix, spec, sigma=1.5)
        found = keypoints_in_image(decode_heatmaps(heatmaps[None]), matrix[None])[0]
        cell = 4 / np.linalg.norm(matrix[:, 0])  # image pixels of one heatmap pixel
        seen = weights > 0
        assert seen.sum() >= 4
        assert np.abs(found[seen, :2] - person.keypoints[seen, :2]).max() < 0.76 * cell
        assert heatmaps[..., ~seen].sum() == 0


def test_without_augmentation_the_crop_is_the_device_s(people: KeypointDataset, spec: HRNetSpec) -> None:
    expected, _ = plain_crops(people.persons[:3], spec)
    for person, crop in zip(people.persons, expected, strict=False):
        made, *_ = augmented_example(person, people.category.mirrored, spec, 1.5, NONE, np.random.default_rng(0))
        np.testing.assert_array_equal(made, crop)


def test_mirroring_swaps_left_and_right(people: KeypointDataset, spec: HRNetSpec) -> None:
    person, mirrored = people.persons[0], people.category.mirrored
    crop, heatmaps, _ = augmented_example(person, mirrored, spec, 1.5, NONE, np.random.default_rng(0))
    other, other_maps, _ = augmented_example(person, mirrored, spec, 1.5, MIRROR, np.random.default_rng(0))
    np.testing.assert_allclose(other, crop[:, ::-1], atol=0.2)
    # the mirrored crop is exact in pixels, so its heatmaps are a quarter of a heatmap pixel off their mirror image
    np.testing.assert_allclose(other_maps.argmax(axis=1), 15 - heatmaps[..., mirrored].argmax(axis=1), atol=15)
    left, right = people.category.joints.index("left_hip"), people.category.joints.index("right_hip")
    columns = [decode_heatmaps(maps[None])[0, :, 0] for maps in (heatmaps, other_maps)]
    assert columns[1][left] == pytest.approx(15.75 - columns[0][right], abs=0.76)


def test_batches_depend_on_seed_and_epoch_only(people: KeypointDataset, spec: HRNetSpec) -> None:
    def batches(epochs: range, seed: int = 0) -> list[np.ndarray]:
        data = training_dataset(people, spec, batch_size=8, epochs=epochs, seed=seed, sigma=2.0, augmentation=Augmentation())
        return [images.numpy() for images, *_ in data]

    steps = steps_per_epoch(people, 8)
    both = batches(range(2))
    assert len(both) == 2 * steps
    np.testing.assert_array_equal(np.stack(both[steps:]), np.stack(batches(range(1, 2))))
    assert np.abs(both[0] - both[steps]).max() > 0.1
    assert np.abs(both[0] - batches(range(1), seed=1)[0]).max() > 0.1


def test_shapes(people: KeypointDataset, spec: HRNetSpec) -> None:
    data = training_dataset(people, spec, batch_size=4, epochs=range(1), seed=0, sigma=2.0, augmentation=Augmentation())
    shapes = [tuple(tensor.shape) for tensor in next(iter(data))]
    assert shapes == [(4, 64, 64, 3), (4, 16, 16, 17), (4, 1, 1, 17)]


def test_too_few_persons_for_a_batch_are_refused(people: KeypointDataset) -> None:
    with pytest.raises(ValueError, match="3 persons are less than one batch of 8"):
        steps_per_epoch(dataclasses.replace(people, persons=people.persons[:3]), 8)
