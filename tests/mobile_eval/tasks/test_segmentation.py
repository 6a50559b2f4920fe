"""Segmentation: evaluation of image folders, against the Keras model and TensorFlow's resizing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mobile_eval.datasets.segmentation import load_segmentation_dataset, read_mask
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_image
from mobile_eval.image.preprocess import normalize, resize
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.segmentation.evaluate import SegmentationResult, evaluate_segmentation, most_likely
from tests.mobile_eval.conftest import TASK_SIZE, Invoke, TaskModel, one_line
from tests.support.image_files import chunk, png_of_samples

CLASSES = ("sky", "road", "car")
MakeModel = Callable[..., TaskModel]


@dataclass(frozen=True)
class Streets:
    images: Path
    masks: Path

    @property
    def arguments(self) -> tuple[object, ...]:
        return "--images", self.images, "--masks", self.masks


@pytest.fixture
def streets(tmp_path: Path) -> Streets:
    """Three images of different sizes, one in a subfolder, with masks that contain ignored pixels."""
    random = np.random.default_rng(0)
    streets = Streets(tmp_path / "images", tmp_path / "masks")
    for name, size in (("a", (64, 64)), ("b", (90, 120)), ("town/c", (40, 50))):
        for folder in (streets.images, streets.masks):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture = cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), size[::-1])
        cv2.imwrite(str(streets.images / f"{name}.png"), picture)
        cv2.imwrite(str(streets.masks / f"{name}.png"), random.choice(np.array([0, 1, 2, 255], np.uint8), size))
    return streets


def expected_counts(keras: object, streets: Streets) -> NDArray[np.int64]:
    """By the Keras model, TensorFlow's bilinear resizing, and plain counting."""
    from hrnet_tf.backend.keras_module import tf

    counts = np.zeros((3, 3), np.int64)
    for image in sorted(streets.images.rglob("*.png")):
        mask = read_mask(streets.masks / image.relative_to(streets.images), 3)
        crop = normalize(resize(read_image(image), TASK_SIZE))[None]
        predictions = tf.image.resize(keras.predict_on_batch(crop), mask.shape).numpy()[0].argmax(axis=-1)  # type: ignore[attr-defined]
        for truth, predicted in zip(mask.ravel(), predictions.ravel(), strict=True):
            if truth != 255:
                counts[truth, predicted] += 1
    return counts


@pytest.mark.slow
def test_counts_match_keras(streets: Streets, task_model: MakeModel) -> None:
    model = task_model("segmentation", CLASSES)
    expected = expected_counts(model.keras, streets)
    result = evaluate_segmentation(TFLiteModel(model.path), load_segmentation_dataset(streets.images, streets.masks))
    assert (result.counts.sum(axis=1) == expected.sum(axis=1)).all()
    assert np.abs(result.counts - expected).sum() <= 4  # the two best classes of a pixel may differ by a rounding error
    assert np.count_nonzero(result.counts.sum(axis=0)) >= 2


@pytest.mark.slow
def test_int8_accuracy_is_close_to_float32(streets: Streets, task_model: MakeModel) -> None:
    data = load_segmentation_dataset(streets.images, streets.masks)
    exact, small = (
        evaluate_segmentation(TFLiteModel(task_model("segmentation", CLASSES, precision).path), data)
        for precision in ("float32", "int8")
    )
    assert small.pixel_accuracy == pytest.approx(exact.pixel_accuracy, abs=0.05)


@pytest.mark.parametrize("size", [(16, 16), (64, 64), (50, 37), (9, 40)])
def test_logits_are_upsampled_with_half_pixel_centres(size: tuple[int, int]) -> None:
    from hrnet_tf.backend.keras_module import tf

    logits = np.random.default_rng(1).standard_normal((16, 16, 5)).astype(np.float32)
    expected = tf.image.resize(logits, size).numpy()
    logits_of_classes = np.take_along_axis(expected, most_likely(logits, size)[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(logits_of_classes, expected.max(axis=-1), atol=1e-5)


def test_result_by_hand() -> None:
    counts = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    result = SegmentationResult("m", CLASSES, counts, np.zeros((1, 3, 3), np.int64), ())
    assert result.pixel_accuracy == 9 / 12
    assert result.miou == pytest.approx((6 / 9 + 3 / 6) / 2)
    assert result.mean_accuracy == pytest.approx((6 / 8 + 3 / 4) / 2)
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert data["iou"] == {"sky": pytest.approx(2 / 3), "road": 0.5, "car": None}
    assert str(result).splitlines()[1] == "mIoU 0.5833  pixel accuracy 0.7500  mean accuracy 0.7500"


def test_cityscapes_layout(tmp_path: Path) -> None:
    for kind, endings in (("leftImg8bit", ["leftImg8bit"]), ("gtFine", ["gtFine_labelTrainIds", "gtFine_color"])):
        for ending in endings:
            path = tmp_path / kind / "val" / "ulm" / f"ulm_000001_000019_{ending}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.zeros((4, 8), np.uint8))
    [pair] = load_segmentation_dataset(tmp_path / "leftImg8bit" / "val", tmp_path / "gtFine" / "val").images
    assert pair.mask_path.name == "ulm_000001_000019_gtFine_labelTrainIds.png"
    pair.mask_path.unlink()
    with pytest.raises(HRNetError, match="createTrainIdLabelImgs"):
        load_segmentation_dataset(tmp_path / "leftImg8bit" / "val", tmp_path / "gtFine" / "val")


def test_masks_with_a_palette_are_read_as_indices(tmp_path: Path) -> None:
    indices = np.array([[0, 1, 2], [20, 255, 7]], np.uint8)
    path = tmp_path / "voc.png"
    palette = np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes()
    data = png_of_samples(indices, 8, palette, more=chunk(b"tRNS", b"\0"))  # as in PASCAL VOC
    path.write_bytes(data)
    np.testing.assert_array_equal(read_mask(path, 21), indices)
    for length in (0, 8, 20, 33, 60):
        path.write_bytes(data[:length])
        with pytest.raises(HRNetError, match=r"voc.png"):
            read_mask(path, 21)


@pytest.mark.slow
def test_command(streets: Streets, task_model: MakeModel, invoke: Invoke, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    code, out, _ = invoke("evaluate", task_model("segmentation", CLASSES).path, *streets.arguments, "--json", figures)
    assert code == 0
    assert out.startswith("segmentation-float32.tflite: 3 images\nmIoU ")
    data = json.loads(figures.read_text())
    assert (data["task"], data["images"], data["threads"]) == ("segmentation", 3, 1)
    assert data["data"] == {"images": str(streets.images), "masks": str(streets.masks)}
    assert set(data["iou"]) == set(CLASSES)
    assert invoke("evaluate", task_model("segmentation", CLASSES, "int8").path, *streets.arguments, "--limit", 2)[0] == 0


def other_size(streets: Streets) -> None:
    cv2.imwrite(str(streets.masks / "b.png"), np.zeros((90, 121), np.uint8))


def other_class(streets: Streets) -> None:
    cv2.imwrite(str(streets.masks / "b.png"), np.full((90, 120), 3, np.uint8))


def colours(streets: Streets) -> None:
    cv2.imwrite(str(streets.masks / "b.png"), np.zeros((90, 120, 3), np.uint8))


def no_mask(streets: Streets) -> None:
    (streets.masks / "town" / "c.png").unlink()


def no_images(streets: Streets) -> None:
    for path in streets.images.rglob("*.png"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_size, "b.png is 90x120"),
        (other_class, "b.png holds class 3"),
        (colours, "b.png is uint8 (90, 120, 3)"),
        (no_mask, "c.png"),
        (no_images, "there are no images in "),
    ],
)
def test_bad_data_ends_in_one_line(
    spoil: Callable[[Streets], None], message: str, streets: Streets, task_model: MakeModel, invoke: Invoke
) -> None:
    spoil(streets)
    code, _, error = invoke("evaluate", task_model("segmentation", CLASSES).path, *streets.arguments)
    assert code == 2
    assert message in one_line(error)


@pytest.mark.slow
def test_real_streets(camvid: Path, task_model: MakeModel) -> None:
    classes = json.loads((camvid / "classes.json").read_text())
    model = TFLiteModel(task_model("segmentation", classes).path)
    data = load_segmentation_dataset(camvid / "val" / "images", camvid / "val" / "masks")
    assert len(data) == 101
    result = evaluate_segmentation(model, data.head(5))
    masks = [read_mask(item.mask_path, 11) for item in data.head(5).images]
    assert result.counts.sum() == sum((mask != 255).sum() for mask in masks)
    assert 0 < result.pixel_accuracy < 1
