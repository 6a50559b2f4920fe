"""Examples: the device's own crops, nothing by chance, and damaged images skipped."""

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

NONE = PoseSettings(sigma=1.5, rotation=0, scale=0, flip_probability=0)
MIRROR = dataclasses.replace(NONE, flip_probability=1.0)
DARK = HeatmapTargets("dark", 1.5)


@pytest.fixture(scope="module")
def people(drawn: Path) -> KeypointDataset:
    return load_keypoint_dataset(drawn / "person_keypoints_train.json", drawn / "images")


def examples(people: KeypointDataset, spec: HRNetSpec, seed: int = 0, settings: PoseSettings | None = None) -> Examples:
    return Examples(people, pose_example_builder(people, spec, settings or PoseSettings()), 8, seed)


def made(index: int, people: KeypointDataset, spec: HRNetSpec, settings: PoseSettings) -> tuple[np.ndarray, ...]:
    example_builder = pose_example_builder(people, spec, settings)
    out = tuple(np.empty(shape, np.float32) for shape in example_builder.shapes)
    example_builder.augmented(index, read_item(people.instances[index]), np.random.default_rng(0), out)
    return out


def test_targets_decode_to_the_joints(people: KeypointDataset, spec: HRNetSpec) -> None:
    for instance in people.instances[:8]:
        matrix = box_matrix(instance.box, spec.input_size)
        heatmaps, weights = heatmap_target(instance.keypoints, matrix, spec.resolution(0), DARK)
        found = keypoints_in_image(decode_heatmaps(heatmaps[None]), matrix[None])[0]
        cell = 4 / np.linalg.norm(matrix[:, 0])  # image pixels of one heatmap pixel
        seen = weights > 0
        assert seen.sum() >= 4
        assert np.abs(found[seen, :2] - instance.keypoints[seen, :2]).max() < 0.76 * cell
        assert heatmaps[..., ~seen].sum() == 0


def test_without_augmentation_the_crop_is_the_device_s(people: KeypointDataset, spec: HRNetSpec) -> None:
    for index, crop in enumerate(evaluation_inputs(people.instances[:3], spec)):
        np.testing.assert_array_equal(made(index, people, spec, NONE)[0], crop)


def test_mirroring_swaps_left_and_right(people: KeypointDataset, spec: HRNetSpec) -> None:
    crop, heatmaps, _ = made(0, people, spec, NONE)
    other, other_maps, _ = made(0, people, spec, MIRROR)
    np.testing.assert_allclose(other[:, 1:], crop[:, :0:-1], atol=0.2)  # x becomes width - x
    left, right = people.category.joints.index("left_hip"), people.category.joints.index("right_hip")
    columns = [decode_heatmaps(maps[None])[0, :, 0] for maps in (heatmaps, other_maps)]
    assert columns[1][left] == pytest.approx(16 - columns[0][right], abs=0.51)


def test_batches_depend_on_seed_epoch_and_step_only(people: KeypointDataset, spec: HRNetSpec) -> None:
    first, again = examples(people, spec), examples(people, spec)
    kept = {(epoch, step): first.batch(epoch, step) for epoch in range(2) for step in range(first.steps)}
    for place in reversed(kept):
        for array, other in zip(kept[place], again.batch(*place), strict=True):
            np.testing.assert_array_equal(array, other)
    assert np.abs(kept[0, 0][0] - kept[1, 0][0]).max() > 0.1
    assert np.abs(kept[0, 0][0] - examples(people, spec, seed=1).batch(0, 0)[0]).max() > 0.1


def test_shapes(people: KeypointDataset, spec: HRNetSpec) -> None:
    batch = examples(people, spec).batch(0, 0)
    assert [array.shape for array in batch] == [(8, 64, 64, 3), (8, 16, 16, 17), (8, 1, 1, 17)]
    assert {array.dtype for array in batch} == {np.dtype(np.float32)}


def test_an_epoch_takes_each_person_once(people: KeypointDataset, spec: HRNetSpec) -> None:
    order = examples(people, spec).order(3)
    assert sorted(order) == list(range(len(people)))


def test_too_few_persons_for_a_batch_are_refused(people: KeypointDataset) -> None:
    with pytest.raises(HRNetError, match=r"3 examples .* 8"):
        steps_per_epoch(dataclasses.replace(people, instances=people.instances[:3]), 8)


def many(people: KeypointDataset, damaged: Path, at: set[int]) -> KeypointDataset:
    """At least 400 persons, those at the places `at` in a damaged image."""
    instances = list(people.instances * (400 // len(people) + 1))
    for place in at:
        instances[place] = dataclasses.replace(instances[place], image_path=damaged)
    return dataclasses.replace(people, instances=tuple(instances))


@pytest.fixture
def damaged(people: KeypointDataset, tmp_path: Path) -> Path:
    """An image that was not copied to its end."""
    path = tmp_path / "half.jpg"
    path.write_bytes(people.instances[0].image_path.read_bytes()[:2000])
    return path


def test_a_damaged_image_is_skipped_and_reported(people: KeypointDataset, spec: HRNetSpec, damaged: Path) -> None:
    whole, part = (examples(many(people, damaged, at), spec, settings=NONE) for at in (set(), {17}))
    order = whole.order(0).tolist()
    step, place = divmod(order.index(17), 8)
    expected, found = whole.batch(0, step)[0].copy(), part.batch(0, step)[0]
    expected[place] = evaluation_inputs((whole.data.items[order[order.index(17) + 1]],), spec)[0]
    np.testing.assert_array_equal(found, expected)
    line = part.skipped.summary(0)
    assert line is not None
    assert line.startswith(f"epoch 1: 1 of {8 * part.steps} examples skipped, the first: image ")
    assert "half.jpg is truncated" in line
    assert part.skipped.summary(1) is None


def test_an_image_that_is_too_large_is_skipped_and_reported(people: KeypointDataset, spec: HRNetSpec, damaged: Path) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header)
    data = examples(many(people, damaged, {17}), spec, settings=NONE)
    data.batch(0, data.order(0).tolist().index(17) // 8)
    line = data.skipped.summary(0)
    assert line is not None
    assert "half.jpg is 100000x100000 (height x width), 10,000,000,000 pixels" in line


def test_more_than_one_in_a_hundred_stops(people: KeypointDataset, spec: HRNetSpec, damaged: Path) -> None:
    data = examples(many(people, damaged, set(range(5))), spec)
    with pytest.raises(HRNetError, match=r"epoch 1: the images of 5 of 4\d\d examples cannot be read, more than 1%; the first: "):
        list(map(data.batch, [0] * data.steps, range(data.steps)))


def test_examples_need_no_tensorflow() -> None:
    code = "import sys, training.data.examples; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3]).returncode == 0
