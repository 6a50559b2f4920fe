"""The tf.data pipeline yields the batches of the examples, in order, from any epoch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import tf
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import instance_crops, normalize
from training.callbacks.run_checkpoint import PipelineEpochEnd
from training.data.examples import Examples
from training.data.tf_pipeline import reraised_data_errors, training_dataset
from training.tasks.pose.settings import PoseSettings
from training.tasks.pose.task import pose_example_builder


@pytest.fixture(scope="module")
def people(drawn: Path) -> KeypointDataset:
    return load_keypoint_dataset(drawn / "person_keypoints_train.json", drawn / "images")


def pose_examples(people: KeypointDataset, spec: HRNetSpec) -> Examples:
    return Examples(people, pose_example_builder(people, spec, PoseSettings()), 8, 0)


def test_batches_are_in_order_from_any_epoch(people: KeypointDataset, spec: HRNetSpec) -> None:
    examples = pose_examples(people, spec)
    batches = list(training_dataset(examples, range(1, 3)))
    assert len(batches) == 2 * examples.steps
    for number, batch in enumerate(batches):
        for tensor, expected in zip(batch, examples.batch(1 + number // examples.steps, number % examples.steps), strict=True):
            np.testing.assert_array_equal(tensor.numpy(), expected)


def test_batches_without_augmentation_equal_evaluation_crops(people: KeypointDataset, spec: HRNetSpec) -> None:
    examples = Examples(people, pose_example_builder(people, spec, PoseSettings(rotation=0, scale=0, flip_probability=0)), 8, 0)
    images = np.concatenate([crops.numpy() for crops, *_ in training_dataset(examples, range(1))])
    instances = [people.instances[index] for index in examples.order(0)[: len(images)]]
    np.testing.assert_allclose(images, normalize(instance_crops(instances, spec.input_size)[0]), atol=1e-4)


def test_shapes_are_static(people: KeypointDataset, spec: HRNetSpec) -> None:
    shapes = [tuple(part.shape) for part in training_dataset(pose_examples(people, spec), range(1)).element_spec]
    assert shapes == [(8, 64, 64, 3), (8, 16, 16, 17), (8, 1, 1, 17)]


def test_damaged_images(people: KeypointDataset, spec: HRNetSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    instances = tuple(dataclasses.replace(instance, image_path=path) for instance in people.instances)
    examples = pose_examples(dataclasses.replace(people, instances=instances), spec)
    with pytest.raises(HRNetError, match=r"epoch 1: the images of \d of \d+ examples"):
        _iterate(examples)
    PipelineEpochEnd(examples).on_epoch_end(0)
    assert "examples skipped, the first: image" in caplog.text


def _iterate(examples: Examples) -> None:
    with reraised_data_errors(examples):
        list(training_dataset(examples, range(1)))


def test_other_errors_are_not_changed(people: KeypointDataset, spec: HRNetSpec) -> None:
    with pytest.raises(tf.errors.OpError), reraised_data_errors(pose_examples(people, spec)):
        tf.debugging.assert_equal(1, 2)
