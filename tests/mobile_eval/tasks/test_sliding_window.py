"""Sliding windows, scales and mirror images of segmentation, against plain numpy and TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mobile_eval.datasets.segmentation import load_segmentation_dataset, read_mask
from mobile_eval.image.image_file import read_image
from mobile_eval.image.preprocess import normalize, resize
from mobile_eval.options import parse_values
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.segmentation.evaluate import evaluate_segmentation, most_likely
from mobile_eval.tasks.segmentation.options import SegmentationEvalOptions
from mobile_eval.tasks.segmentation.sliding_window import log_sums, make_views, most_probable, predict_view, window_starts
from tests.mobile_eval.conftest import TASK_SIZE, Invoke, TaskModel, one_line

CLASSES = ("sky", "road", "car")
MEAN = (123.675, 116.28, 103.53)
MakeModel = Callable[..., TaskModel]


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(np.random.default_rng(0).integers(0, 256, (9, 11, 3), np.uint8), (150, 100)), np.uint8)


@pytest.mark.parametrize(
    ("length", "window", "overlap", "starts"),
    [
        (64, 64, 0.0, [0]),
        (40, 64, 0.0, [0]),
        (65, 64, 0.0, [0, 1]),
        (128, 64, 0.0, [0, 64]),
        (150, 64, 0.0, [0, 64, 86]),
        (150, 64, 0.5, [0, 32, 64, 86]),
        (10, 4, 0.99, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_windows_end_at_the_border(length: int, window: int, overlap: float, starts: list[int]) -> None:
    assert window_starts(length, window, overlap) == starts
    covered = {pixel for start in starts for pixel in range(start, min(start + window, length))}
    assert covered == set(range(length))


def test_views(image: NDArray[np.uint8]) -> None:
    half, full = make_views(image, (64, 64), SegmentationEvalOptions(windows=True, scales=(0.5, 1)), MEAN)
    assert (half.image_size, half.size, half.corners) == ((50, 75), (64, 75), ((0, 0), (0, 11)))
    np.testing.assert_array_equal(half.crops[1, :50], resize(image, (50, 75))[:, 11:])
    assert np.unique(half.crops[:, 50:].reshape(-1, 3), axis=0).tolist() == [[124, 116, 104]]
    assert full.corners == ((0, 0), (0, 64), (0, 86), (36, 0), (36, 64), (36, 86))
    np.testing.assert_array_equal(full.crops[5], image[36:, 86:])
    [plain] = make_views(image, (64, 64), SegmentationEvalOptions(flip=True), MEAN)
    assert (plain.window, plain.size, plain.corners) == ((100, 150), (100, 150), ((0, 0),))
    np.testing.assert_array_equal(plain.crops[0], resize(image, (64, 64)))


def softmax_of(keras: Any, crop: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float64]:
    """Probabilities (H, W, K) of the Keras model, by bilinear resizing in TensorFlow and softmax in numpy."""
    from hrnet_tf.backend.keras_module import tf

    logits = tf.image.resize(keras.predict_on_batch(normalize(crop[None])), size).numpy()[0].astype(np.float64)
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


@pytest.mark.slow
def test_probabilities_are_averaged_over_windows_and_mirror_images(image: NDArray[np.uint8], task_model: MakeModel) -> None:
    model = task_model("segmentation", CLASSES)
    expected, counts = np.zeros((100, 150, 3)), np.zeros((100, 150, 1))
    for top in (0, 36):
        for left in (0, 64, 86):
            crop = image[top : top + 64, left : left + 64]
            region = slice(top, top + 64), slice(left, left + 64)
            mirrored = softmax_of(model.keras, np.ascontiguousarray(crop[:, ::-1]), (64, 64))[:, ::-1]
            expected[region] += softmax_of(model.keras, crop, (64, 64)) + mirrored
            counts[region] += 2
    [view] = make_views(image, (64, 64), SegmentationEvalOptions(windows=True, flip=True), MEAN)
    prediction = predict_view(TFLiteModel(model.path), view, flip=True)
    np.testing.assert_array_equal(prediction.counts, counts[..., 0])
    probabilities = np.stack([prediction.probability(index, (100, 150)) for index in range(3)], axis=-1)
    np.testing.assert_allclose(probabilities, expected / counts, atol=1e-4)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-5)
    certain = np.ptp(np.sort(expected / counts, axis=-1)[..., 1:], axis=-1) > 1e-3
    classes = expected.argmax(axis=-1)
    np.testing.assert_array_equal(most_probable([prediction], (100, 150))[certain], classes[certain])
    assert certain.mean() > 0.75


@pytest.mark.slow
def test_scales_are_summed(image: NDArray[np.uint8], task_model: MakeModel) -> None:
    from hrnet_tf.backend.keras_module import tf

    model = task_model("segmentation", CLASSES)
    padded = np.full((64, 75, 3), (124, 116, 104), np.uint8)
    padded[:50] = resize(image, (50, 75))
    half, counts = np.zeros((64, 75, 3)), np.zeros((64, 75, 1))
    for left in (0, 11):
        half[:, left : left + 64] += softmax_of(model.keras, padded[:, left : left + 64], (64, 64))
        counts[:, left : left + 64] += 1
    expected = tf.image.resize((half / counts)[:50], (100, 150)).numpy()
    views = make_views(image, (64, 64), SegmentationEvalOptions(windows=True, scales=(0.5, 1.0)), MEAN)
    predictions = [predict_view(TFLiteModel(model.path), view) for view in views]
    probabilities = np.stack([predictions[0].probability(index, (100, 150)) for index in range(3)], axis=-1)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    both = np.stack([sum(prediction.probability(i, (100, 150)) for prediction in predictions) for i in range(3)], axis=-1)
    np.testing.assert_array_equal(most_probable(predictions, (100, 150)), both.argmax(axis=-1))


def test_sums_of_large_logits_stay_finite() -> None:
    logits = np.array([[[900.0, 0.0, -900.0], [-900.0, -901.0, -902.0]]], np.float32)
    expected = [900, -900 + np.log(1 + np.exp(-1) + np.exp(-2))]
    np.testing.assert_allclose(log_sums(logits, (1, 2))[0], expected, rtol=1e-6)


def test_full_size_window_matches_plain_prediction(task_model: MakeModel) -> None:
    image = np.random.default_rng(2).integers(0, 256, (*TASK_SIZE, 3), np.uint8)
    model = TFLiteModel(task_model("segmentation", CLASSES).path)
    [view] = make_views(image, TASK_SIZE, SegmentationEvalOptions(windows=True))
    plain = most_likely(model.output(model.to_input(image[None]))[0], TASK_SIZE)
    assert (most_probable([predict_view(model, view)], TASK_SIZE) == plain).mean() > 0.999


@pytest.fixture
def streets(tmp_path: Path) -> tuple[Path, Path]:
    """Two images with masks."""
    random = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name, size in (("a", (64, 64)), ("b", (90, 120))):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), random.integers(0, 256, (*size, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), random.choice(np.array([0, 1, 2, 255], np.uint8), size))
    return tmp_path / "images", tmp_path / "masks"


def test_evaluation_counts_predictions_of_views(streets: tuple[Path, Path], task_model: MakeModel) -> None:
    model, data = TFLiteModel(task_model("segmentation", CLASSES).path), load_segmentation_dataset(*streets)
    options = SegmentationEvalOptions(windows=True, scales=(1.0, 1.5), overlap=0.25, flip=True)
    counts = np.zeros((3, 3), np.int64)
    for item in data.images:
        mask, views = read_mask(item.mask_path, 3), make_views(read_image(item.image_path), TASK_SIZE, options, MEAN)
        height, width = mask.shape
        predictions = most_probable([predict_view(model, view, flip=True) for view in views], (height, width))
        for truth, predicted in zip(mask.ravel(), predictions.ravel(), strict=True):
            if truth != 255:
                counts[truth, predicted] += 1
    np.testing.assert_array_equal(evaluate_segmentation(model, data, options).counts, counts)


def test_command(streets: tuple[Path, Path], task_model: MakeModel, invoke: Invoke, tmp_path: Path) -> None:
    path, figures, folder = task_model("segmentation", CLASSES).path, tmp_path / "figures.json", tmp_path / "overlays"
    data = "--images", streets[0], "--masks", streets[1], "--json", figures
    code, _, _ = invoke("evaluate", path, *data, "--windows", "--scales", "0.5,1", "--flip", "--overlays", folder)
    assert code == 0
    options = json.loads(figures.read_text())["options"]
    assert (options["windows"], options["scales"], options["flip"], options["overlap"]) == (True, [0.5, 1.0], True, 0.0)
    assert sorted(file.name for file in folder.iterdir()) == ["0000_a.jpg", "0001_b.jpg"]
    picture = cv2.imread(str(folder / "0001_b.jpg"))
    assert picture.shape[1:] == (240, 3)
    assert picture.shape[0] > 90  # a legend of the classes is below


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--scales 0.5,1", "--scales and --overlap"),
        ("--overlap 0.5", "--scales and --overlap"),
        ("--windows --scales big", "got 'big'"),
        ("--windows --scales 1,0", "got 1.0, 0.0"),
        ("--windows --scales nan", "got nan"),
        ("--windows --overlap 1", "--overlap"),
        ("--overlays {images}/a.png", "a.png"),
        ("--decoding dark", "--decoding"),
    ],
)
def test_bad_options(options: str, message: str, streets: tuple[Path, Path], task_model: MakeModel, invoke: Invoke) -> None:
    path, arguments = task_model("segmentation", CLASSES).path, options.format(images=streets[0]).split()
    code, _, error = invoke("evaluate", path, "--images", streets[0], "--masks", streets[1], *arguments)
    assert code == 2
    assert message in one_line(error)


def test_scales_are_parsed() -> None:
    assert parse_values("scales", "0.5, 1,1.75", float) == (0.5, 1.0, 1.75)
