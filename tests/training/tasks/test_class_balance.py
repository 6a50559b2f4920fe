"""Class weights from class frequencies."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.datasets.classification import load_classification_dataset
from mobile_eval.datasets.segmentation import load_segmentation_dataset
from mobile_eval.errors import HRNetError
from tests.support.program import Hrnet
from training.tasks.class_balance import (
    class_weights_line,
    weights_by_count,
    weights_by_median_frequency,
    with_balanced_classes,
)
from training.tasks.classification.losses import ClassCrossEntropy
from training.tasks.classification.settings import ClassificationSettings
from training.tasks.pose.settings import PoseSettings
from training.tasks.registry import training_task
from training.tasks.segmentation.settings import SegmentationSettings

SMALL = "--input-size 32x32 --modules 1 --blocks 1 --width 4 --epochs 1 --batch-size 2"


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """Four images of 40 pixels: class 0 in all (30 each), 1 in two (10), 2 in one (5, and 5 ignored), 3 in none."""
    for number, second_class in enumerate((1, 1, 2, 0)):
        mask = np.zeros((5, 8), np.uint8)
        mask[:, 6:] = second_class
        if second_class == 2:
            mask[:, 7] = 255
        for folder, content in (("images", np.full((5, 8, 3), 40 * number, np.uint8)), ("masks", mask)):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f"{number}.png"), content)
    (tmp_path / "classes.json").write_text(json.dumps(["road", "car", "sign", "tram"]))
    return tmp_path


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Six cats and two dogs."""
    for name, count in (("cat", 6), ("dog", 2)):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for number in range(count):
            cv2.imwrite(str(tmp_path / "animals" / name / f"{number}.png"), np.full((40, 40, 3), 30 * number, np.uint8))
    return tmp_path / "animals"


def test_weights_by_count() -> None:
    np.testing.assert_allclose(weights_by_count(np.array([6, 2])), [8 / 12, 8 / 4])
    np.testing.assert_allclose(weights_by_count(np.array([6, 0, 2])), [8 / 12, 1, 8 / 4])


def test_weights_by_median_frequency() -> None:
    counts = [np.array([30, 10, 0, 0]), np.array([30, 10, 0, 0]), np.array([30, 0, 5, 0]), np.array([40, 0, 0, 0])]
    frequencies = 130 / 155, 20 / 80, 5 / 35
    expected = [0.25 / frequencies[0], 1, 0.25 / frequencies[2], 1]
    np.testing.assert_allclose(weights_by_median_frequency(counts, 4), expected)
    assert weights_by_median_frequency([], 2).tolist() == [1, 1]


def test_weights_from_datasets(streets: Path, animals: Path) -> None:
    masks, folders = load_segmentation_dataset(streets / "images", streets / "masks"), load_classification_dataset(animals)
    segmentation, classification, pose = map(training_task, ("segmentation", "classification", "pose"))
    balanced = with_balanced_classes(segmentation, SegmentationSettings(balance_classes=True), masks)
    assert balanced == SegmentationSettings(class_weights=(0.2981, 1.0, 1.75, 1.0))
    balanced = with_balanced_classes(classification, ClassificationSettings(balance_classes=True), folders)
    assert balanced == ClassificationSettings(class_weights=(0.6667, 2.0))
    plain = ClassificationSettings()
    assert with_balanced_classes(classification, plain, folders) is plain
    assert with_balanced_classes(pose, PoseSettings(), masks) == PoseSettings()
    with pytest.raises(HRNetError, match="`class_weights` has 3 numbers"):
        with_balanced_classes(classification, ClassificationSettings(class_weights=(1.0, 2.0, 3.0)), folders)


def test_loss_is_weighted_by_class() -> None:
    logits = np.array([[2.0, 0.0, -1.0], [0.5, 0.1, 0.3]], np.float32)
    labels = np.array([[1, 0, 0], [0, 0.25, 0.75]], np.float32)
    log_probabilities = np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    second = -(0.25 * 3 * log_probabilities[1, 1] + 0.75 * 0.5 * log_probabilities[1, 2])
    expected = (-2 * log_probabilities[0, 0] + second) / 2
    assert float(ClassCrossEntropy(0.0, (2.0, 3.0, 0.5))(labels, logits)) == pytest.approx(expected, rel=1e-6)
    plain = -(log_probabilities[0, 0] + 0.25 * log_probabilities[1, 1] + 0.75 * log_probabilities[1, 2]) / 2
    assert float(ClassCrossEntropy()(labels, logits)) == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("settings", [SegmentationSettings, ClassificationSettings])
def test_bad_class_weights(settings: type[SegmentationSettings]) -> None:
    with pytest.raises(HRNetError, match="`balance_classes`"):
        settings(class_weights=(1.0, 2.0), balance_classes=True)
    with pytest.raises(HRNetError, match=r"-2\.0"):
        settings(class_weights=(1.0, -2.0))


def test_class_weights_line() -> None:
    assert class_weights_line((0.6667, 2.0), ("cat", "dog")) == "class weights: cat 0.6667, dog 2"
    assert class_weights_line((1.0,) * 3, ("a", "b", "c"), max_classes=2) == "class weights: a 1, b 1, ..."


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_train_command_stores_class_weights(
    task: str,
    streets: Path,
    animals: Path,
    tmp_path: Path,
    hrnet: Hrnet,
) -> None:
    data = f"--images {streets}/images --masks {streets}/masks" if task == "segmentation" else f"--images {animals}"
    model = "segment-small-v1" if task == "segmentation" else "classify-small-v1"
    line = f"train {model} {data} {SMALL} --balance-classes --output {tmp_path / 'run'}"
    first, resumed = hrnet(line), hrnet(f"{line} --resume")
    assert (first.code, resumed.code) == (0, 0)
    stored = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    expected = [0.2981, 1.0, 1.75, 1.0] if task == "segmentation" else [0.6667, 2.0]
    assert (stored["class_weights"], stored["balance_classes"]) == (expected, False)
    assert "class weights: " in first.out
