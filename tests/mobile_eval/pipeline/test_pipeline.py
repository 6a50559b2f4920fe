"""A detector and a pose model in its boxes; predictions of every task on pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_image
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.pipeline.pictures import expand_folders
from mobile_eval.pipeline.pipeline import Pipeline
from mobile_eval.pipeline.predictors import Boxes, Classes, Mask, open_predictor
from mobile_eval.pipeline.selection import BoxSelection
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.boxes import Objects
from tests.mobile_eval.conftest import Invoke, TaskModel, one_line
from tests.support.ssd_file import cell_box, scene, write_ssd

IMAGE_SIZE = (160, 240)
PEOPLE = {(0, 0): "person", (1, 3): "person", (3, 5): "dog"}


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    """A detector of another package."""
    return write_ssd(tmp_path / "ssd.tflite")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Two people and a dog, as the detector sees them."""
    path = tmp_path / "photos" / "photo.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), scene(PEOPLE, IMAGE_SIZE)[..., ::-1])
    return path


def test_poses_are_those_in_the_boxes(detector: Path, photo: Path, model_path: Callable[..., Path]) -> None:
    pipeline = Pipeline(detector, model_path())
    people = pipeline.predict(photo)
    assert len(people) == 2
    assert str(people) == "2 people"
    boxes = sorted(map(tuple, np.round(people.boxes, 2).tolist()))
    assert boxes == sorted(tuple(cell_box(*place, IMAGE_SIZE)) for place, name in PEOPLE.items() if name == "person")
    model, image = TFLiteModel(model_path()), read_image(photo)
    expected = [predict_box(model, image, box) for box in people.boxes]
    np.testing.assert_allclose(people.keypoints, expected)
    confident = [keypoints[keypoints[:, 2] > 0.2, 2] for keypoints in expected]
    means = [scores.mean() if scores.size else 0 for scores in confident]
    assert people.scores == pytest.approx(np.array(means) * people.box_scores)
    assert people.detector_times.network_ms > 0
    assert people.model_times.network_ms > 0
    assert people.to_json()[0]["bbox"] == pytest.approx(people.boxes[0].tolist(), abs=0.01)


def test_another_class_and_nobody(detector: Path, photo: Path, model_path: Callable[..., Path]) -> None:
    model = TFLiteModel(model_path())
    dogs = Pipeline(detector, model, category="dog").predict(photo)
    assert np.round(dogs.boxes, 2).tolist() == [cell_box(3, 5, IMAGE_SIZE)]
    nobody = Pipeline(detector, model).predict(np.zeros((50, 60, 3), np.uint8))
    assert (len(nobody), nobody.keypoints.shape, nobody.to_json()) == (0, (0, 17, 3), [])
    assert nobody.draw(np.zeros((50, 60, 3), np.uint8)).max() == 0
    with pytest.raises(HRNetError, match=r"`image` must be RGB \(H, W, 3\) in uint8, got \(50, 60\) uint8"):
        Pipeline(detector, model).predict(np.zeros((50, 60), np.uint8))
    with pytest.raises(HRNetError, match=r"`detector` ssd\.tflite has no class 'cat'; its classes are person, dog"):
        Pipeline(detector, model, category="cat")


def objects(*rows: tuple[float, float, float, float, float, int]) -> Objects:
    values = np.array(rows, np.float32).reshape(-1, 6)
    return Objects(values[:, :4], values[:, 4], values[:, 5].astype(np.int64))


def test_selection() -> None:
    detected = objects(
        (10, 10, 20, 40, 0.5, 0),
        (11, 11, 20, 40, 0.9, 0),  # repeats the first
        (10, 10, 20, 40, 0.8, 1),  # another class
        (60, 10, 20, 40, 0.29, 0),  # a low score
        (90, -5, 30, 40, 0.6, 0),  # beyond the border
        (200, 10, 20, 40, 0.7, 0),  # outside
    )
    selected = BoxSelection().select(detected, 0, (80, 100))
    assert selected.boxes.tolist() == [[11, 11, 20, 40], [90, 0, 10, 35]]
    assert selected.scores.tolist() == pytest.approx([0.9, 0.6])
    assert len(BoxSelection(max_boxes=1, min_score=0).select(detected, 0, (80, 100))) == 1
    assert len(BoxSelection(max_iou=1.0).select(detected, 0, (80, 100))) == 3
    assert len(BoxSelection().select(objects(), 0, (80, 100))) == 0
    rng = np.random.default_rng(0)
    thousand = Objects(
        rng.uniform(0, 90, (1000, 4)).astype(np.float32), rng.random(1000).astype(np.float32), np.zeros(1000, np.int64)
    )
    assert len(BoxSelection().select(thousand, 0, (80, 100))) <= 20
    for name, value in (("min_score", 1.1), ("max_iou", 0), ("max_boxes", 0)):
        with pytest.raises(HRNetError, match=f"`{name}` must be .*, got {value}"):
            BoxSelection(**{name: value})


def test_command_with_a_detector_and_a_folder(
    detector: Path, photo: Path, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path
) -> None:
    cv2.imwrite(str(photo.with_name("empty.png")), np.zeros((40, 60, 3), np.uint8))
    out = tmp_path / "out"
    code, printed, error = invoke("predict", model_path(), photo.parent, "--detector", detector, "--output", out)
    assert (code, error) == (0, "")
    assert [line.rsplit(": ")[-1] for line in printed.splitlines()[:-1]] == ["0 people", "2 people"]
    data = json.loads((out / "keypoints.json").read_text())
    assert [annotation["image_id"] for annotation in data["annotations"]] == [2, 2]
    assert len(data["annotations"][0]["keypoints"]) == 51
    code, _, error = invoke("predict", model_path(), photo, "--detector", detector, "--class", "cow", "--output", tmp_path / "a")
    assert code == 2
    assert "--detector ssd.tflite has no class 'cow'; its classes are person, dog (--category)" in one_line(error)
    code, _, error = invoke("predict", detector, photo, "--detector", detector, "--output", tmp_path / "a")
    assert code == 2
    assert "ssd.tflite is a detector, which takes no --detector" in one_line(error)
    code, _, error = invoke("predict", model_path(), photo, "--output", tmp_path / "a")
    assert code == 0
    assert error == "warning: without --boxes and --detector, each full picture is taken for one person\n"
    (out / "nothing").mkdir()
    with pytest.raises(HRNetError, match="has no images"):
        expand_folders([out / "nothing"])


def test_boxes(detector: Path, photo: Path, invoke: Invoke, tmp_path: Path) -> None:
    prediction = open_predictor(detector).predict(read_image(photo))
    assert isinstance(prediction, Boxes)
    assert sorted(entry["class"] for entry in prediction.to_json()) == ["dog", "person", "person"]
    unnamed = open_predictor(write_ssd(tmp_path / "unnamed.tflite", labels=None)).predict(read_image(photo))
    assert sorted(entry["class"] for entry in unnamed.to_json()) == ["class_0", "class_0", "class_1"]  # type: ignore[union-attr,call-overload]
    code, printed, _ = invoke("predict", detector, photo, "--output", tmp_path / "out")
    assert code == 0
    assert "photo_boxes.jpg: 3 boxes" in printed
    data = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert [category["name"] for category in data["categories"]] == ["person", "dog"]
    assert sorted(annotation["category_id"] for annotation in data["annotations"]) == [1, 1, 2]
    drawn = read_image(tmp_path / "out" / "photo_boxes.jpg")
    assert drawn.shape == (*IMAGE_SIZE, 3)


@pytest.mark.slow
def test_masks_and_classes(task_model: Callable[..., TaskModel], photo: Path, invoke: Invoke, tmp_path: Path) -> None:
    model = task_model("segmentation", ("background", "road", "tree")).path
    mask = open_predictor(model).predict(read_image(photo))
    assert isinstance(mask, Mask)
    assert mask.mask.shape == IMAGE_SIZE
    assert sum(mask.to_json()["share"].values()) == pytest.approx(1, abs=1e-4)
    assert invoke("predict", model, photo, "--output", tmp_path / "out")[0] == 0
    written: NDArray[np.uint8] = np.asarray(cv2.imread(str(tmp_path / "out" / "photo_mask.png"), cv2.IMREAD_UNCHANGED))
    np.testing.assert_array_equal(written, mask.mask)
    entry = json.loads((tmp_path / "out" / "masks.json").read_text())
    assert entry["classes"] == ["background", "road", "tree"]
    assert entry["images"][0]["share"] == mask.to_json()["share"]
    classifier = task_model("classification", ("cat", "dog")).path
    classes = open_predictor(classifier).predict(read_image(photo))
    assert isinstance(classes, Classes)
    assert sum(classes.probabilities) == pytest.approx(1)
    assert classes.probabilities[0] >= 0.5
    assert invoke("predict", classifier, photo, "--output", tmp_path / "out")[0] == 0
    assert json.loads((tmp_path / "out" / "classes.json").read_text())["images"][0]["classes"] == classes.to_json()["classes"]
    with pytest.raises(HRNetError, match=r"is a segmentation model, which takes no `detector`"):
        open_predictor(model, detector=model)
