"""Classes weighed by how rare they are."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import hrnet_tf.__main__
from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.folders import load_class_folders
from mobile_eval.datasets.masks import load_masked_images
from mobile_eval.errors import HRNetError
from training.config import TrainingConfig
from training.optim.class_balance import balanced, weights_line
from training.tasks.class_weights import weights_by_count, weights_by_median_frequency
from training.tasks.classification.losses import ClassCrossEntropy
from training.tasks.classification.settings import Settings as ClassSettings
from training.tasks.pose.settings import Settings as PoseSettings
from training.tasks.segmentation.settings import Settings as MaskSettings

SMALL = "--input-size 32x32 --modules 1,1,1 --width 4 --epochs 1 --batch-size 2"


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """Four images of 40 pixels: class 0 in all (30 each), 1 in two (10), 2 in one (5, and 5 ignored), 3 in none."""
    for number, beside in enumerate((1, 1, 2, 0)):
        mask = np.zeros((5, 8), np.uint8)
        mask[:, 6:] = beside
        if beside == 2:
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


def test_by_count() -> None:
    np.testing.assert_allclose(weights_by_count(np.array([6, 2])), [8 / 12, 8 / 4])
    np.testing.assert_allclose(weights_by_count(np.array([6, 0, 2])), [8 / 12, 1, 8 / 4])


def test_by_median_frequency() -> None:
    counts = [np.array([30, 10, 0, 0]), np.array([30, 10, 0, 0]), np.array([30, 0, 5, 0]), np.array([40, 0, 0, 0])]
    frequencies = 130 / 155, 20 / 80, 5 / 35
    expected = [0.25 / frequencies[0], 1, 0.25 / frequencies[2], 1]
    np.testing.assert_allclose(weights_by_median_frequency(counts, 4), expected)
    assert weights_by_median_frequency([], 2).tolist() == [1, 1]


def test_weights_of_data(streets: Path, animals: Path) -> None:
    masked = load_masked_images(streets / "images", streets / "masks")
    config = TrainingConfig(DataSource(), None, MaskSettings(class_balance=True), 1, "segmentation")
    settings = balanced(config, masked).settings
    assert (settings.class_weights, settings.class_balance) == ((0.2981, 1.0, 1.75, 1.0), False)
    config = TrainingConfig(DataSource(), None, ClassSettings(class_balance=True), 1, "classification")
    assert balanced(config, load_class_folders(animals)).settings.class_weights == (0.6667, 2.0)
    plain = dataclasses.replace(config, settings=ClassSettings())
    assert balanced(plain, load_class_folders(animals)) is plain
    given = dataclasses.replace(config, settings=ClassSettings(class_weights=(1.0, 2.0, 3.0)))
    with pytest.raises(HRNetError, match="`class_weights` has 3 numbers, but the data have 2 classes"):
        balanced(given, load_class_folders(animals))
    pose = TrainingConfig(DataSource(), None, PoseSettings(), 1, "pose")
    assert balanced(pose, masked) is pose


def test_the_loss_weighs_each_class() -> None:
    logits = np.array([[2.0, 0.0, -1.0], [0.5, 0.1, 0.3]], np.float32)
    labels = np.array([[1, 0, 0], [0, 0.25, 0.75]], np.float32)
    logs = np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    expected = (-2 * logs[0, 0] + -(0.25 * 3 * logs[1, 1] + 0.75 * 0.5 * logs[1, 2])) / 2
    assert float(ClassCrossEntropy(0.0, (2.0, 3.0, 0.5))(labels, logits)) == pytest.approx(expected, rel=1e-6)
    plain = -(logs[0, 0] + 0.25 * logs[1, 1] + 0.75 * logs[1, 2]) / 2
    assert float(ClassCrossEntropy()(labels, logits)) == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("settings", [MaskSettings, ClassSettings])
def test_weights_that_do_not_go(settings: type[MaskSettings]) -> None:
    with pytest.raises(HRNetError, match="`class_balance` works out the `class_weights`: give one of the two"):
        settings(class_weights=(1.0, 2.0), class_balance=True)
    with pytest.raises(HRNetError, match=r"`class_weights` must be at least 0, got 1\.0, -2\.0"):
        settings(class_weights=(1.0, -2.0))


def test_a_line_to_read() -> None:
    assert weights_line((0.6667, 2.0), ("cat", "dog")) == "class weights: cat 0.6667, dog 2"
    assert weights_line((1.0,) * 3, ("a", "b", "c"), most=2) == "class weights: a 1, b 1, ..."


@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_command(
    task: str,
    streets: Path,
    animals: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = f"--images {streets}/images --masks {streets}/masks" if task == "segmentation" else f"--images {animals}"
    model = "segment-small-v1" if task == "segmentation" else "classify-small-v1"
    line = f"train {model} {data} {SMALL} --class-balance --output {tmp_path / 'run'}"
    for arguments in (line, f"{line} --resume"):
        monkeypatch.setattr(sys, "argv", ["hrnet", *arguments.split()])
        with pytest.raises(SystemExit) as ended:
            hrnet_tf.__main__.main()
        assert not ended.value.code
    kept = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    expected = [0.2981, 1.0, 1.75, 1.0] if task == "segmentation" else [0.6667, 2.0]
    assert (kept["class_weights"], kept["class_balance"]) == (expected, False)
    assert "class weights: " in capsys.readouterr().out
