"""Classification: evaluation of image folders, against Keras and results by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.datasets.classification import load_classification_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_image
from mobile_eval.image.preprocess import normalize, resized_center
from mobile_eval.model.description import default_class_names
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.classification.evaluate import evaluate_classification, measure_classification, rank
from tests.mobile_eval.conftest import TASK_SIZE, Invoke, TaskModel, one_line

CLASSES = ("cat", "dog", "eel")
MakeModel = Callable[..., TaskModel]


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Folders of 4 cats, 3 dogs and 1 eel."""
    random = np.random.default_rng(0)
    for name, count in zip(CLASSES, (4, 3, 1), strict=True):
        folder = tmp_path / "animals" / name
        folder.mkdir(parents=True)
        for number in range(count):
            picture = cv2.resize(random.integers(0, 256, (5, 5, 3), np.uint8), (70 + 9 * number, 80))
            cv2.imwrite(str(folder / f"{number}.png"), picture)
    return tmp_path / "animals"


def test_by_hand() -> None:
    classes = tuple("abcdefg")
    logits = np.zeros((4, 7), np.float32)
    logits[:, 1] = 3
    logits[0, 0] = 5  # correct
    logits[1, 2:6] = [4, 4, 4, 4]  # class 1 is fifth
    logits[2, 2:7] = [4, 4, 4, 4, 4]  # class 1 is sixth
    labels = [0, 1, 1, 2]  # the last label is third: b scores higher, and a, an equal score, comes first
    result = measure_classification("m", classes, zip(logits, labels, strict=True))
    assert [rank(row, label) for row, label in zip(logits, labels, strict=True)] == [0, 4, 5, 2]
    assert (result.top1, result.top5, result.images) == (0.25, 0.75, 4)
    assert result.counts[1].tolist() == [0, 0, 2, 0, 0, 0, 0]
    assert result.recall[:3].tolist() == [1, 0, 0]
    assert result.mean_recall == pytest.approx(1 / 3)
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert data["recall"]["g"] is None
    assert data["confusion"][2][1] == 1


def test_class_255_is_counted() -> None:
    predictions = [(np.eye(300, dtype=np.float32)[255], 255)]
    assert measure_classification("m", default_class_names(300), predictions).counts[255, 255] == 1


@pytest.mark.parametrize("shape", [(500, 375), (300, 400), (100, 64), (37, 41), (256, 300)])
def test_center_crop_matches_tensorflow(shape: tuple[int, int]) -> None:
    from hrnet_tf.backend.keras_module import tf

    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8), shape[::-1])
    short = min(shape)
    height, width = (int(256 * side / short) for side in shape)
    resized = tf.image.resize(image, (height, width), antialias=True).numpy()
    top, left = round((height - 224) / 2), round((width - 224) / 2)
    expected = resized[top : top + 224, left : left + 224]
    crop = resized_center(image, (224, 224))
    assert crop.shape == (224, 224, 3)
    np.testing.assert_allclose(crop, expected, atol=0.51)


@pytest.mark.slow
def test_predictions_match_keras(animals: Path, task_model: MakeModel) -> None:
    model = task_model("classification", CLASSES)
    result = evaluate_classification(TFLiteModel(model.path), load_classification_dataset(animals))
    crops = [resized_center(read_image(path), TASK_SIZE) for path in sorted(animals.rglob("*.png"))]
    predicted = model.keras.predict_on_batch(normalize(np.stack(crops))).argmax(axis=1)
    labels = np.array([0] * 4 + [1] * 3 + [2])
    assert result.top1 == (predicted == labels).mean()
    assert result.top5 is None
    assert result.counts.sum(axis=1).tolist() == [4, 3, 1]
    np.testing.assert_array_equal(result.counts.sum(axis=0), np.bincount(predicted, minlength=3))


def test_labels_follow_the_class_order_of_the_model(animals: Path) -> None:
    data = load_classification_dataset(animals)
    turned = data.with_classes(("eel", "cat", "dog"))
    assert [item.label for item in turned.images] == [1] * 4 + [2] * 3 + [0]
    assert data.with_classes(default_class_names(3), by_name=False) is data
    assert [item.label for item in data.head(4).images] == [0, 0, 1, 1]
    with pytest.raises(HRNetError, match="got 0"):
        data.head(0)


@pytest.mark.slow
def test_command(animals: Path, task_model: MakeModel, invoke: Invoke, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    for precision in ("float32", "int8"):
        path = task_model("classification", CLASSES, precision).path
        code, out, _ = invoke("evaluate", path, "--images", animals, "--json", figures)
        assert code == 0
        assert out.startswith(f"classification-{precision}.tflite: 8 images\ntop-1 ")
    data = json.loads(figures.read_text())
    assert (data["task"], data["images"], data["top5"]) == ("classification", 8, None)
    assert data["data"] == {"images": str(animals)}
    assert set(data["recall"]) == set(CLASSES)


def no_images(animals: Path) -> None:
    (animals / "eel" / "0.png").unlink()


def missing_class(animals: Path) -> None:
    shutil.rmtree(animals / "eel")


def unknown_class(animals: Path) -> None:
    (animals / "eel").rename(animals / "emu")


def no_folders(animals: Path) -> None:
    for name in CLASSES:
        shutil.rmtree(animals / name)


def damaged(animals: Path) -> None:
    (animals / "dog" / "1.png").write_bytes(b"\x89PNG and no more")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_images, "eel has no images"),
        (missing_class, "3 classes"),
        (unknown_class, "'emu'"),
        (no_folders, "holds no folder"),
        (damaged, "1.png is damaged"),
    ],
)
def test_bad_data_ends_in_one_line(
    spoil: Callable[[Path], None], message: str, animals: Path, task_model: MakeModel, invoke: Invoke
) -> None:
    spoil(animals)
    code, _, error = invoke("evaluate", task_model("classification", CLASSES).path, "--images", animals)
    assert code == 2
    assert message in one_line(error)


@pytest.mark.slow
def test_real_cells(cells: Path, task_model: MakeModel) -> None:
    data = load_classification_dataset(cells / "val")
    assert (data.classes, len(data)) == (("Platelets", "RBC", "WBC"), 320)
    result = evaluate_classification(TFLiteModel(task_model("classification", ("WBC", "RBC", "Platelets")).path), data.head(40))
    assert result.images == 40
    assert (result.counts.sum(axis=1) > 0).all()
