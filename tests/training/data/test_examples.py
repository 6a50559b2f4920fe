"""Training examples: crops as on the device, reproducible batches, and damaged images skipped."""

from __future__ import annotations

import dataclasses
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import box_matrix
from mobile_eval.image.image_file import read_item
from mobile_eval.keypoints.decode import decode_heatmaps, keypoints_in_image
from training.data.examples import Examples, evaluation_inputs, steps_per_epoch
from training.tasks.pose.settings import PoseSettings
from training.tasks.pose.targets import HeatmapTargets, heatmap_target
from training.tasks.pose.task import pose_example_builder

UNAUGMENTED = PoseSettings(sigma=1.5, rotation=0, scale=0, flip_probability=0)
MIRRORED = dataclasses.replace(UNAUGMENTED, flip_probability=1.0)
DARK = HeatmapTargets("dark", 1.5)


@pytest.fixture(scope="module")
def people(drawn: Path) -> KeypointDataset:
    return load_keypoint_dataset(drawn / "person_keypoints_train.json", drawn / "images")


def examples(people: KeypointDataset, spec: HRNetSpec, seed: int = 0, settings: PoseSettings | None = None) -> Examples:
    return Examples(people, pose_example_builder(people, spec, settings or PoseSettings()), 8, seed)


def augmented_example(index: int, people: KeypointDataset, spec: HRNetSpec, settings: PoseSettings) -> tuple[np.ndarray, ...]:
    example_builder = pose_example_builder(people, spec, settings)
    out = tuple(np.empty(shape, np.float32) for shape in example_builder.shapes)
    example_builder.augmented(index, read_item(people.instances[index]), np.random.default_rng(0), out)
    return out


def test_targets_decode_to_the_keypoints(people: KeypointDataset, spec: HRNetSpec) -> None:
    for instance in people.instances[:8]:
        matrix = box_matrix(instance.box, spec.input_size)
        heatmaps, weights = heatmap_target(instance.keypoints, matrix, spec.resolution(0), DARK)
        decoded = keypoints_in_image(decode_heatmaps(heatmaps[None]), matrix[None])[0]
        cell_size = 4 / np.linalg.norm(matrix[:, 0])  # size of a heatmap pixel in image pixels
        labelled = weights > 0
        assert labelled.sum() >= 4
        assert np.abs(decoded[labelled, :2] - instance.keypoints[labelled, :2]).max() < 0.76 * cell_size
        assert heatmaps[..., ~labelled].sum() == 0


def test_crop_without_augmentation_equals_the_evaluation_input(people: KeypointDataset, spec: HRNetSpec) -> None:
    for index, crop in enumerate(evaluation_inputs(people.instances[:3], spec)):
        np.testing.assert_array_equal(augmented_example(index, people, spec, UNAUGMENTED)[0], crop)


def test_mirroring_swaps_left_and_right(people: KeypointDataset, spec: HRNetSpec) -> None:
    crop, heatmaps, _ = augmented_example(0, people, spec, UNAUGMENTED)
    mirrored_crop, mirrored_heatmaps, _ = augmented_example(0, people, spec, MIRRORED)
    np.testing.assert_allclose(mirrored_crop[:, 1:], crop[:, :0:-1], atol=0.2)  # x becomes width - x
    left_hip, right_hip = people.category.joints.index("left_hip"), people.category.joints.index("right_hip")
    columns = [decode_heatmaps(maps[None])[0, :, 0] for maps in (heatmaps, mirrored_heatmaps)]
    assert columns[1][left_hip] == pytest.approx(16 - columns[0][right_hip], abs=0.51)


def test_batches_depend_on_seed_epoch_and_step_only(people: KeypointDataset, spec: HRNetSpec) -> None:
    first, repeated = examples(people, spec), examples(people, spec)
    batches = {(epoch, step): first.batch(epoch, step) for epoch in range(2) for step in range(first.steps)}
    for epoch, step in reversed(batches):
        for array, repeated_array in zip(batches[epoch, step], repeated.batch(epoch, step), strict=True):
            np.testing.assert_array_equal(array, repeated_array)
    assert np.abs(batches[0, 0][0] - batches[1, 0][0]).max() > 0.1
    assert np.abs(batches[0, 0][0] - examples(people, spec, seed=1).batch(0, 0)[0]).max() > 0.1


def test_shapes(people: KeypointDataset, spec: HRNetSpec) -> None:
    batch = examples(people, spec).batch(0, 0)
    assert [array.shape for array in batch] == [(8, 64, 64, 3), (8, 16, 16, 17), (8, 1, 1, 17)]
    assert {array.dtype for array in batch} == {np.dtype(np.float32)}


def test_epoch_contains_each_person_once(people: KeypointDataset, spec: HRNetSpec) -> None:
    order = examples(people, spec).order(3)
    assert sorted(order) == list(range(len(people)))


def test_too_few_persons_for_a_batch(people: KeypointDataset) -> None:
    with pytest.raises(HRNetError, match=r"3 examples .* 8"):
        steps_per_epoch(dataclasses.replace(people, instances=people.instances[:3]), 8)


def many_people(people: KeypointDataset, damaged: Path, indices: set[int]) -> KeypointDataset:
    """At least 400 persons; those at `indices` are in a damaged image."""
    instances = list(people.instances * (400 // len(people) + 1))
    for index in indices:
        instances[index] = dataclasses.replace(instances[index], image_path=damaged)
    return dataclasses.replace(people, instances=tuple(instances))


@pytest.fixture
def damaged(people: KeypointDataset, tmp_path: Path) -> Path:
    """A truncated JPEG file."""
    path = tmp_path / "half.jpg"
    path.write_bytes(people.instances[0].image_path.read_bytes()[:2000])
    return path


def test_damaged_image_is_skipped_and_reported(people: KeypointDataset, spec: HRNetSpec, damaged: Path) -> None:
    complete, partial = (examples(many_people(people, damaged, indices), spec, settings=UNAUGMENTED) for indices in (set(), {17}))
    order = complete.order(0).tolist()
    step, position = divmod(order.index(17), 8)
    expected, crops = complete.batch(0, step)[0].copy(), partial.batch(0, step)[0]
    expected[position] = evaluation_inputs((complete.data.items[order[order.index(17) + 1]],), spec)[0]
    np.testing.assert_array_equal(crops, expected)
    line = partial.skipped.summary(0)
    assert line is not None
    assert line.startswith(f"epoch 1: 1 of {8 * partial.steps} examples skipped, the first: image ")
    assert "half.jpg is truncated" in line
    assert partial.skipped.summary(1) is None


def test_too_large_image_is_skipped_and_reported(people: KeypointDataset, spec: HRNetSpec, damaged: Path) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header)
    data = examples(many_people(people, damaged, {17}), spec, settings=UNAUGMENTED)
    data.batch(0, data.order(0).tolist().index(17) // 8)
    line = data.skipped.summary(0)
    assert line is not None
    assert "half.jpg is 100000x100000 (height x width), 10,000,000,000 pixels" in line


def test_more_than_1_percent_of_damaged_images(people: KeypointDataset, spec: HRNetSpec, damaged: Path) -> None:
    data = examples(many_people(people, damaged, set(range(5))), spec)
    with pytest.raises(HRNetError, match=r"epoch 1: the images of 5 of 4\d\d examples"):
        list(map(data.batch, [0] * data.steps, range(data.steps)))


def test_examples_do_not_import_tensorflow() -> None:
    code = "import sys, training.data.examples; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3]).returncode == 0
