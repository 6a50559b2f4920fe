"""Training a detector: examples, matching of anchors and proposals, losses, and that the loss falls."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.models.build import build_model
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.detection import DetectionDataset, load_detection_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import STANDARD
from mobile_eval.image.preprocess import warp_crop
from mobile_eval.runtime.interpreter import make_interpreter
from training.config import DataConfig, TrainingConfig
from training.data.examples import Examples
from training.engine.inputs import load_data
from training.engine.networks import build_for_training
from training.optim.trainer_models import compile_trainer, trainer_model
from training.pruning.candidate_latency import untrained_files
from training.ranking.gated_network import GatedNetwork
from training.ranking.methods import Taylor
from training.ranking.task_data import TaskRankingData
from training.recipe import load_recipe, recipe_names
from training.tasks.crop import random_zoom_crop
from training.tasks.detection import assignment, losses
from training.tasks.detection.examples import NO_BOX, BoxExampleBuilder, color_jittered, pack, seeds, unpack, visible_boxes
from training.tasks.detection.settings import DetectionSettings
from training.tasks.detection.task import TASK, Ap50Evaluator
from training.tasks.registry import training_task

SMALL = DetectionSettings(rpn_samples=32, train_proposals=50, box_samples=16, norm="updated")
SEED = tf.constant([3, 1])
Trained = tuple[Any, list[float]]


@pytest.fixture(scope="module")
def data(shapes: Path) -> DetectionDataset:
    return load_detection_dataset(shapes / "train.json", shapes / "images")


# Examples


def test_boxes_of_a_plain_example(data: DetectionDataset, detector_spec: HRNetSpec) -> None:
    example_builder = BoxExampleBuilder(data, detector_spec, DetectionSettings())
    out = [np.empty(shape, np.float32) for shape in example_builder.shapes]
    item = data.items[0]
    example_builder.plain(0, np.zeros((96, 128, 3), np.uint8), out)
    boxes, labels = unpack(out[1])
    count = len(item.boxes)
    expected = np.concatenate([item.boxes[:, :2], item.boxes[:, :2] + item.boxes[:, 2:]], axis=1)
    np.testing.assert_allclose(boxes[:count], expected * np.tile([0.75, 64 / 96], 2), rtol=1e-6)
    assert labels[:count].tolist() == item.labels.tolist()
    assert labels[count:].tolist() == [NO_BOX] * (max(len(item.boxes) for item in data.items) - count)


def test_boxes_follow_the_pixels_of_the_crop(data: DetectionDataset) -> None:
    settings = DetectionSettings(min_scale=0.6, max_scale=1.6)
    item = dataclasses.replace(data.items[0], boxes=np.array([[40.0, 30, 30, 24]]), labels=np.array([1]))
    image = np.zeros((96, 128, 3), np.uint8)
    image[30:54, 40:70] = 255
    visible_crops = 0
    for seed in range(20):
        matrix = random_zoom_crop((96, 128), (64, 96), settings, np.random.default_rng(seed))
        boxes, labels = visible_boxes(item, matrix, (64, 96))
        mask = warp_crop(image, matrix, (64, 96))[..., 0] > 127
        if not len(boxes):
            assert mask.sum() < 0.4 * 30 * 24
            continue
        rows, columns = np.nonzero(mask)
        pixel_box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(boxes[0], pixel_box, atol=1.0)
        assert labels.tolist() == [1]
        visible_crops += 1
    assert visible_crops > 10


def test_color_jitter_keeps_the_order_of_brightness() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert color_jittered(image, 0.0, np.random.default_rng(0)) is image
    changed = color_jittered(image, 0.3, np.random.default_rng(0))
    assert changed.shape == image.shape
    assert np.all(np.diff(changed.reshape(-1, 3)[:, 0].astype(int)) >= 0)
    assert not np.array_equal(changed, image)


def test_batches_depend_on_seed_epoch_and_step(data: DetectionDataset, detector_spec: HRNetSpec) -> None:
    example_builder = BoxExampleBuilder(data, detector_spec, SMALL)
    first, repeated = (Examples(data, example_builder, 4, seed=1).batch(2, 1) for _ in range(2))
    next_epoch = Examples(data, example_builder, 4, seed=1).batch(3, 1)
    for array, repeated_array in zip(first, repeated, strict=True):
        np.testing.assert_array_equal(array, repeated_array)
    assert seeds(first[1]).tolist() != seeds(next_epoch[1]).tolist()
    assert np.all(first[1][:, 0, 0] == np.floor(first[1][:, 0, 0]))


# Matching


BOXES = np.array([[[0, 0, 20, 20], [40, 40, 60, 60], [0, 0, 0, 0]]], np.float32)
LABELS = np.array([[1, 0, NO_BOX]], np.float32)


def test_anchors_are_matched_by_overlap() -> None:
    anchors = np.array(
        [[0, 0, 20, 20], [0, 0, 20, 15], [0, 0, 20, 10], [40, 40, 60, 49], [40, 52, 60, 60], [70, 70, 90, 90]], np.float32
    )
    assigned = assignment.assign_anchors(anchors, BOXES, LABELS)
    # IoU 1, 0.75, 0.5; 0.45 (the best of the second box), 0.4; 0
    assert assigned.positive.numpy().tolist() == [[True, True, False, True, False, False]]
    assert assigned.negative.numpy().tolist() == [[False, False, False, False, False, True]]
    assert assigned.box_index.numpy()[0, :5].tolist() == [0, 0, 0, 1, 1]


def test_box_below_the_minimum_overlap_has_no_anchor() -> None:
    assigned = assignment.assign_anchors(np.array([[0, 0, 20, 20], [40, 40, 60, 45]], np.float32), BOXES, LABELS)
    assert assigned.positive.numpy().tolist() == [[True, False]]
    assert assigned.negative.numpy().tolist() == [[False, True]]


def test_empty_proposals_are_neither_positive_nor_negative() -> None:
    proposals = np.array([[[0, 0, 20, 10], [0, 0, 20, 9], [0, 0, 0, 0]]], np.float32)
    assigned = assignment.assign_proposals(proposals, BOXES, LABELS)
    assert assigned.positive.numpy().tolist() == [[True, False, False]]
    assert assigned.negative.numpy().tolist() == [[False, True, False]]


def test_sample_size_and_share_of_positives() -> None:
    objects = np.zeros((2, 100), bool)
    objects[0, :30], objects[1, :2] = True, True
    background = ~objects
    background[1, 10:] = False
    matches = assignment.Assignment(*map(tf.constant, (objects, background)), tf.zeros((2, 100), tf.int64))
    sampled = assignment.sample(matches, 20, 0.25, SEED)
    assert sampled.valid.numpy().sum(axis=1).tolist() == [20, 10]
    assert sampled.positive.numpy().sum(axis=1).tolist() == [5, 2]
    for image in range(2):
        indices = sampled.indices.numpy()[image][sampled.valid.numpy()[image]]
        assert len(set(indices.tolist())) == len(indices)
        assert np.all((objects | background)[image, indices])
        np.testing.assert_array_equal(objects[image, indices], sampled.positive.numpy()[image][sampled.valid.numpy()[image]])
    repeated, other_seed = assignment.sample(matches, 20, 0.25, SEED), assignment.sample(matches, 20, 0.25, tf.constant([4, 1]))
    np.testing.assert_array_equal(sampled.indices, repeated.indices)
    assert not np.array_equal(sampled.indices, other_seed.indices)


# Losses


def test_smooth_l1_by_hand() -> None:
    error = tf.constant([0.05, -0.5, 0.0, 2.0])
    assert float(losses.smooth_l1(error, 1 / 9)) == pytest.approx(0.5 * 0.05**2 * 9 + 0.5 - 1 / 18 + 2 - 1 / 18)
    assert float(losses.smooth_l1(error, 1.0)) == pytest.approx(0.5 * 0.05**2 + 0.125 + 1.5)


def test_anchor_loss_by_hand() -> None:
    anchors = np.array([[0, 0, 20, 20], [70, 70, 90, 90]], np.float32)
    logits, deltas = np.array([[2.0, -1.0]], np.float32), np.zeros((1, 2, 4), np.float32)
    deltas[0, 0, 0], deltas[0, 1] = 0.3, 9.0  # background anchors do not count
    loss = losses.anchor_loss(logits, deltas, anchors, BOXES, LABELS, 2, SEED)
    objectness_loss = (np.log1p(np.exp(-2)) + np.log1p(np.exp(-1))) / 2
    assert float(loss) == pytest.approx(objectness_loss + (0.3 - 1 / 18) / 2, rel=1e-5)


def test_box_head_loss_by_hand() -> None:
    proposals = np.array([[[0, 2, 20, 22], [70, 70, 90, 90], [0, 0, 0, 0]]], np.float32)
    sampled = losses.sample_boxes(tf.constant(proposals), tf.constant(BOXES[:, :1]), tf.constant(LABELS[:, :1]), 2, 4, SEED)
    valid = sampled.valid.numpy()[0]
    assert valid.sum() == 2  # one object (a quarter of four) and one background; empty proposals are not sampled
    order = np.argsort(sampled.labels.numpy()[0][valid])
    assert sampled.labels.numpy()[0][valid][order].tolist() == [1, 2]
    logits, deltas = np.zeros((1, 4, 3), np.float32), np.zeros((1, 4, 12), np.float32)
    deltas[..., :4], deltas[..., 8:] = 7.0, 7.0  # other classes do not count
    target_deltas = sampled.deltas.numpy()[0][sampled.positive.numpy()[0]]
    delta_losses = np.where(np.abs(target_deltas) < 1, 0.5 * target_deltas**2, np.abs(target_deltas) - 0.5)
    assert float(losses.box_loss(logits, deltas, sampled)) == pytest.approx(np.log(3) + delta_losses.sum() / 2, rel=1e-5)


# Training


@pytest.fixture(scope="module")
def trained(data: DetectionDataset, detector_spec: HRNetSpec) -> Trained:
    """A micro detector after 40 training steps, and the loss of each step."""
    keras.utils.set_random_seed(0)
    network, loss = build_model(detector_spec), TASK.loss(SMALL)
    trainer = trainer_model(TASK, network, loss)
    compile_trainer(trainer, loss, keras.optimizers.Adam(5e-3))
    examples = Examples(data, BoxExampleBuilder(data, detector_spec, SMALL), 8, seed=0)
    return network, [float(trainer.train_on_batch(*examples.batch(step // 2, step % 2))) for step in range(40)]


@pytest.mark.slow
def test_loss_falls(trained: Trained) -> None:
    values = trained[1]
    assert np.mean(values[-5:]) < 0.6 * np.mean(values[:3])


@pytest.mark.slow
def test_ranking_loss_is_deterministic(trained: Trained, data: DetectionDataset, detector_spec: HRNetSpec) -> None:
    ranking_data = TaskRankingData.prepare(data.head(8), detector_spec, SMALL)
    first, repeated = ranking_data.measure(trained[0]), ranking_data.measure(trained[0])
    assert first == repeated
    assert 0 < first[0] < 3
    assert 0 <= first[1] <= 1


@pytest.mark.slow
def test_taylor_scores_most_links(trained: Trained, data: DetectionDataset, detector_spec: HRNetSpec) -> None:
    network = GatedNetwork.of(trained[0])
    scores = Taylor(4)(network, TaskRankingData.prepare(data.head(4), detector_spec, SMALL))
    assert len(scores) == 4
    assert sum(score > 0 for score in scores.values()) >= 3


@pytest.mark.slow
def test_frozen_batch_norm_statistics_do_not_change(data: DetectionDataset, detector_spec: HRNetSpec) -> None:
    batch = Examples(data, BoxExampleBuilder(data, detector_spec, SMALL), 4, seed=0).batch(0, 0)
    changed = {}
    image = tf.constant(batch[0])
    for norm in ("frozen", "updated"):
        network, loss = build_model(detector_spec), TASK.loss(dataclasses.replace(SMALL, norm=norm))
        before = network.get_layer("stem_bn1").get_weights()
        trainer_model(TASK, network, loss)(image, training=True)
        after = network.get_layer("stem_bn1").get_weights()
        changed[norm] = [not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]
    assert changed == {"frozen": [False] * 4, "updated": [False, False, True, True]}


@pytest.mark.slow
def test_unsupported_training_options(data: DetectionDataset, detector_spec: HRNetSpec, shapes: Path) -> None:
    config = config_on(shapes / "train.json", shapes / "val.json", shapes / "images").replace(link_dropout=0.2)
    with pytest.raises(HRNetError, match="`link_dropout`"):
        trainer_model(TASK, build_for_training(detector_spec, config), TASK.loss(DetectionSettings()))
    trainer = trainer_model(TASK, build_model(detector_spec), TASK.loss(DetectionSettings()))
    with pytest.raises(HRNetError, match="`jit`"):
        compile_trainer(trainer, trainer, keras.optimizers.SGD(0.1), jit=True)


@pytest.mark.slow
def test_distillation_loss_is_lowest_for_the_same_inputs(trained: Trained, data: DetectionDataset) -> None:
    trainer = trainer_model(TASK, trained[0], TASK.loss(SMALL))
    images = tf.constant(np.random.default_rng(0).standard_normal((2, 64, 96, 3)).astype(np.float32))
    teacher_outputs = trained[0](images, training=False)
    same_inputs = trainer.distillation_loss(teacher_outputs, trainer.stages.maps(images, training=False))
    changed_inputs = trainer.distillation_loss(teacher_outputs, trainer.stages.maps(images + 0.5, training=False))
    assert float(same_inputs) < float(changed_inputs)


@pytest.mark.slow
def test_candidate_has_two_tflite_files(detector_spec: HRNetSpec, tmp_path: Path) -> None:
    inputs = []
    for number, content in enumerate(untrained_files(build_model(detector_spec, folded=True))):
        path = tmp_path / f"{number}.tflite"
        path.write_bytes(content)
        [details] = make_interpreter(path).get_input_details()
        inputs.append((details["shape"].tolist(), np.dtype(details["dtype"]).name))
    assert inputs == [([1, 64, 96, 3], "int8"), ([100, 7, 7, 8], "int8")]


# Metric and settings


def test_ap50_of_correct_boxes_is_1(data: DetectionDataset, detector_spec: HRNetSpec) -> None:
    metric_evaluator = Ap50Evaluator(data, detector_spec, STANDARD)
    for item in data.items:
        corners = np.concatenate([item.boxes[:, :2], item.boxes[:, :2] + item.boxes[:, 2:]], axis=1)
        boxes = (corners * np.tile([0.75, 64 / 96], 2)).astype(np.float32)
        logits = np.full((1, len(boxes), 3), -20, np.float32)
        logits[0, np.arange(len(boxes)), item.labels] = 0
        outputs = {"proposals": boxes[None], "objectness": np.ones((1, len(boxes))), "class_logits": logits}
        metric_evaluator.update({**outputs, "box_deltas": np.zeros((1, len(boxes), 12))})
    assert metric_evaluator.result() == pytest.approx(1.0)
    assert Ap50Evaluator(data, detector_spec, STANDARD).result() == 0


def config_on(train: Path, val: Path, images: Path) -> TrainingConfig:
    return TrainingConfig("detection", SMALL, DataConfig(DataSource(images, train), DataSource(images, val), 4))


@pytest.mark.slow
def test_images_without_boxes_are_background(trained: Trained, shapes: Path, tmp_path: Path, detector_spec: HRNetSpec) -> None:
    content = json.loads((shapes / "train.json").read_text())
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] != 1]
    (tmp_path / "some.json").write_text(json.dumps(content))
    train, val = load_data(config_on(tmp_path / "some.json", shapes / "val.json", shapes / "images"))
    assert (len(train), len(val or ())) == (16, 6)
    assert train.skipped_summary == "1 image without boxes: background"
    ranking_data = TaskRankingData.prepare(train.head(1), detector_spec, SMALL)  # only the background image
    trainer = trainer_model(TASK, trained[0], TASK.loss(SMALL))
    images, targets, _ = next(iter(ranking_data.batches()))
    assert np.all(unpack(targets)[1] == NO_BOX)
    with tf.GradientTape() as tape:
        loss = trainer.loss_from_outputs(images, targets, trainer.stages.maps(images, training=False))
    gradients = tape.gradient(loss, trained[0].trainable_variables)
    gradients = [gradient for gradient in gradients if gradient is not None]
    assert 0 < float(loss) < 5
    assert len(gradients) > 20
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients)


def test_anchor_loss_of_background_by_hand() -> None:
    anchors = np.array([[0, 0, 20, 20], [70, 70, 90, 90]], np.float32)
    logits, deltas = np.array([[2.0, -1.0]], np.float32), np.full((1, 2, 4), 9, np.float32)
    loss = losses.anchor_loss(
        logits, deltas, anchors, np.zeros((1, 1, 4), np.float32), np.full((1, 1), NO_BOX, np.float32), 2, SEED
    )
    assert float(loss) == pytest.approx((np.log1p(np.exp(2)) + np.log1p(np.exp(-1))) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_scale": 2.0}, "got 2.0 and 1.0"),
        ({"norm": "batch"}, "'batch'"),
        ({"box_samples": 0}, "got 0"),
        ({"color_jitter": 1.5}, "got 1.5"),
        ({"size_weight": -1.0}, "got -1.0"),
        ({"train_proposals": 2000}, "got 2000"),
    ],
)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        DetectionSettings(**changes)


def test_recipes() -> None:
    assert recipe_names("detection") == ["centers", "coco-1x", "coco-2x", "small"]
    paper = load_recipe("detection", "coco-2x")
    assert (paper["epochs"], paper["lr_milestones"], paper["learning_rate"], paper["batch_size"]) == (24, (20, 23), 0.02, 16)
    assert (load_recipe("detection", "coco-1x")["lr_milestones"], paper["weight_decay"], paper["norm"]) == (
        (8, 11),
        1e-4,
        "frozen",
    )
    assert training_task("detection").metric.column == "val_ap50"


def test_packed_targets_without_boxes() -> None:
    out = np.empty((3, 5), np.float32)
    pack(np.zeros((0, 4)), np.zeros(0), 2**20 + 5, out)
    assert out.tolist() == [[5, 0, 0, 0, 0], [0, 0, 0, 0, NO_BOX], [0, 0, 0, 0, NO_BOX]]
