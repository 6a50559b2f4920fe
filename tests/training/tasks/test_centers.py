"""Training a detector by centers: targets and losses against loops in numpy, boxes from targets, and that it learns."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.models.build import build_model
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.coco.detection import DetectionDataset, load_detection_dataset
from mobile_eval.image.geometry import STANDARD
from mobile_eval.image.preprocess import normalize
from mobile_eval.tasks.detection.centers import decode_centers
from mobile_eval.tasks.detection.task import TASK as EVALUATION
from training.data.examples import Examples
from training.optim.trainer_models import compile_trainer, trainer_model
from training.ranking.gated_network import GatedNetwork
from training.ranking.methods import Taylor
from training.ranking.task_data import TaskRankingData
from training.tasks.detection.center_losses import center_loss, center_targets, gaussian_radius
from training.tasks.detection.examples import NO_BOX, BoxExampleBuilder
from training.tasks.detection.settings import DetectionSettings
from training.tasks.detection.task import TASK, Ap50Evaluator, draw_objects

Array = NDArray[np.float32]
SETTINGS = DetectionSettings(norm="updated")
SIZE, CLASSES, STRIDE = (16, 24), 3, 4  # of the maps
BOXES = np.array(
    [
        [[4, 8, 40, 52], [50, 20, 62, 26], [52, 22, 66, 30], [0, 0, 3, 3]],
        [[70, 40, 96, 64], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ],
    np.float32,
)
LABELS = np.array([[1, 0, 0, 2], [1, NO_BOX, NO_BOX, NO_BOX]], np.float32)


def rows() -> list[tuple[int, Array, int]]:
    """The image, the corners in pixels of the maps, and the class of each box."""
    return [
        (image, BOXES[image, index] / STRIDE, int(LABELS[image, index]))
        for image, index in np.ndindex(LABELS.shape)
        if LABELS[image, index] != NO_BOX
    ]


def radius(width: float, height: float) -> int:
    """The largest whole number by which both corners can be moved along the diagonal, in any direction, at an overlap of 0.7."""

    def overlap(first: float, second: float) -> float:
        corners = np.array([first, first, width + second, height + second])
        sides = np.minimum(corners[2:], [width, height]) - np.maximum(corners[:2], 0)
        inside = np.prod(np.maximum(sides, 0))
        return float(inside / (width * height + np.prod(np.maximum(corners[2:] - corners[:2], 0)) - inside))

    best = 0
    while min(overlap(best + 1, best + 1), overlap(best + 1, -best - 1), overlap(-best - 1, best + 1)) >= 0.7:
        best += 1
    return best


@pytest.mark.parametrize("sides", [(1, 1), (7, 7), (9, 30), (64, 20), (100, 120)])
def test_radius_of_a_gaussian(sides: tuple[float, float]) -> None:
    assert int(gaussian_radius(tf.constant(sides, tf.float32))) == radius(*sides)


def expected_heatmaps() -> Array:
    heatmaps = np.zeros((2, *SIZE, CLASSES), np.float32)
    for image, (x1, y1, x2, y2), label in rows():
        column, row = int((x1 + x2) / 2), int((y1 + y2) / 2)
        deviation = (2 * radius(x2 - x1, y2 - y1) + 1) / 6
        for y, x in np.ndindex(SIZE):
            value = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * deviation**2))
            heatmaps[image, y, x, label] = max(heatmaps[image, y, x, label], value)
    return heatmaps


def test_heatmaps_are_maxima_of_gaussians() -> None:
    targets = center_targets(BOXES, LABELS, SIZE, CLASSES, STRIDE)
    np.testing.assert_allclose(targets.heatmaps.numpy(), expected_heatmaps(), atol=1e-6)
    assert int((targets.heatmaps.numpy() == 1).sum()) == 5 == float(targets.count)


def is_nearer_to_another(image: int, y: int, x: int, center: tuple[int, int]) -> bool:
    """Whether a place is nearer to the center of another box."""
    others = [(int(box[[1, 3]].mean()), int(box[[0, 2]].mean())) for number, box, _ in rows() if number == image]
    return min(np.hypot(y - other[0], x - other[1]) for other in others) < np.hypot(y - center[0], x - center[1])


def random_outputs(seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {"centers": CLASSES, "sizes": 2, "offsets": 2}
    return {name: rng.normal(0, 2, (2, *SIZE, channels)).astype(np.float32) for name, channels in shapes.items()}


def test_loss_against_loops() -> None:
    outputs, heatmaps = random_outputs(), expected_heatmaps().astype(np.float64)
    probabilities = 1 / (1 + np.exp(-outputs["centers"].astype(np.float64)))
    focal = 0.0
    for place in np.ndindex(heatmaps.shape):
        p, target = probabilities[place], heatmaps[place]
        focal -= (1 - p) ** 2 * np.log(p) if target == 1 else (1 - target) ** 4 * p**2 * np.log(1 - p)
    size_errors = offset_errors = 0.0
    for image, (x1, y1, x2, y2), _ in rows():
        column, row = int((x1 + x2) / 2), int((y1 + y2) / 2)
        for y in range(max(row - 1, 0), min(row + 2, SIZE[0])):
            for x in range(max(column - 1, 0), min(column + 2, SIZE[1])):
                if is_nearer_to_another(image, y, x, (row, column)):
                    continue
                size_errors += np.abs(outputs["sizes"][image, y, x] - np.log([x2 - x1, y2 - y1])).sum() / 9
                offset_errors += np.abs(outputs["offsets"][image, y, x] - [(x1 + x2) / 2 - x, (y1 + y2) / 2 - y]).sum() / 9
    loss = float(center_loss(outputs, center_targets(BOXES, LABELS, SIZE, CLASSES, STRIDE), 0.25))
    assert loss == pytest.approx((focal + 0.25 * size_errors + offset_errors) / 5, rel=1e-5)


def test_loss_without_boxes_is_that_of_the_background() -> None:
    outputs, none = random_outputs(), np.full_like(LABELS, NO_BOX)
    probabilities = 1 / (1 + np.exp(-outputs["centers"].astype(np.float64)))
    loss = float(center_loss(outputs, center_targets(BOXES, none, SIZE, CLASSES, STRIDE), 1.0))
    assert loss == pytest.approx(float(-(probabilities**2 * np.log(1 - probabilities)).sum()), rel=1e-5)


def test_targets_decode_to_the_boxes() -> None:
    targets = center_targets(BOXES, LABELS, SIZE, CLASSES, STRIDE)
    probabilities = np.clip(targets.heatmaps.numpy(), 1e-4, 1 - 1e-4)
    flat: dict[str, Array] = {name: np.zeros((2 * SIZE[0] * SIZE[1], 2), np.float32) for name in ("sizes", "offsets")}
    places, learned = targets.places.numpy().ravel(), targets.weights.numpy().ravel() > 0
    for name, maps in flat.items():
        maps[places[learned]] = getattr(targets, name).numpy().reshape(-1, 2)[learned]
    sizes, offsets = (maps.reshape(2, *SIZE, 2) for maps in flat.values())
    for image in range(2):
        logits = np.log(probabilities / (1 - probabilities))[image]
        objects = decode_centers(logits, sizes[image], offsets[image], (64, 96), (64, 96))
        best = objects.scores > 0.99
        expected = sorted((label, *(STRIDE * corners).tolist()) for number, corners, label in rows() if number == image)
        corners = np.concatenate([objects.boxes[:, :2], objects.boxes[:, :2] + objects.boxes[:, 2:]], axis=1)[best]
        decoded = sorted((int(label), *box) for label, box in zip(objects.labels[best], corners.tolist(), strict=True))
        np.testing.assert_allclose(decoded, expected, atol=1e-3)


# Training


@pytest.fixture(scope="module")
def data(shapes: Path) -> DetectionDataset:
    return load_detection_dataset(shapes / "train.json", shapes / "images")


@pytest.fixture(scope="module")
def trained(data: DetectionDataset, center_spec: HRNetSpec) -> tuple[Any, list[float]]:
    """A micro detector after 200 training steps, and the loss of each step."""
    keras.utils.set_random_seed(0)
    network, loss = build_model(center_spec), TASK.loss(SETTINGS)
    trainer = trainer_model(TASK, network, loss)
    compile_trainer(trainer, loss, keras.optimizers.Adam(1e-2))
    examples = Examples(data, BoxExampleBuilder(data, center_spec, SETTINGS), 8, seed=0)
    return network, [float(trainer.train_on_batch(*examples.batch(step // 2, step % 2))) for step in range(200)]


@pytest.mark.slow
def test_learns_a_tiny_data_set(trained: tuple[Any, list[float]], data: DetectionDataset, center_spec: HRNetSpec) -> None:
    network, losses = trained
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:3])
    metric_evaluator = Ap50Evaluator(data, center_spec, STANDARD)
    images = EVALUATION.inputs(data.images, center_spec.input_size, STANDARD)
    metric_evaluator.update(network(normalize(images), training=False))
    assert metric_evaluator.result() > 0.6


@pytest.mark.slow
def test_links_are_ranked(trained: tuple[Any, list[float]], data: DetectionDataset, center_spec: HRNetSpec) -> None:
    ranking_data = TaskRankingData.prepare(data.head(8), center_spec, SETTINGS)
    first, repeated = ranking_data.measure(trained[0]), ranking_data.measure(trained[0])
    assert first == repeated
    scores = Taylor(4)(GatedNetwork.of(trained[0]), ranking_data)
    assert set(scores) == set(center_spec.links)
    assert sum(score > 0 for score in scores.values()) >= 3


@pytest.mark.slow
def test_frozen_batch_norm_statistics_do_not_change(center_spec: HRNetSpec) -> None:
    changed = {}
    for norm in ("frozen", "updated"):
        network = build_model(center_spec)
        before = network.get_layer("stem_bn1").get_weights()
        trainer = trainer_model(TASK, network, TASK.loss(dataclasses.replace(SETTINGS, norm=norm)))
        trainer(tf.random.stateless_normal((2, 64, 96, 3), (1, 2)), training=True)
        after = network.get_layer("stem_bn1").get_weights()
        changed[norm] = [not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]
    assert changed == {"frozen": [False] * 4, "updated": [False, False, True, True]}


def test_distance_from_a_teacher_is_lowest_for_its_own_outputs(center_spec: HRNetSpec) -> None:
    trainer = trainer_model(TASK, build_model(center_spec), TASK.loss(SETTINGS))
    teacher = random_outputs()
    same = float(trainer.distillation_loss(teacher, teacher))
    for name in teacher:
        assert float(trainer.distillation_loss(teacher, {**teacher, name: teacher[name] + 0.5})) > same + 0.01


def test_targets_and_outputs_are_drawn() -> None:
    images = np.zeros((1, 64, 96, 3), np.uint8)
    category = {"name": "detection", "classes": ["a", "b", "c"]}
    outputs = {name: np.zeros((1, *SIZE, channels), np.float32) for name, channels in (("sizes", 2), ("offsets", 2))}
    outputs["centers"] = np.full((1, *SIZE, CLASSES), -9, np.float32)
    assert not draw_objects(images, outputs, category, STANDARD).any()
    outputs["centers"][0, 8, 12, 1], outputs["sizes"][0, 8, 12] = 3, np.log(8)
    assert draw_objects(images, outputs, category, STANDARD).any()
