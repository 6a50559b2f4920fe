"""Landmarks: units, errors by hand, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.model.description import ModelOutput, TensorFormat
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.landmarks.evaluate import evaluate_landmarks, face_units, measure_landmarks
from tests.mobile_eval.conftest import Invoke, TaskModel, one_line

NAMES = tuple(f"landmark_{index}" for index in range(68))
MakeModel = Callable[..., TaskModel]


@pytest.fixture
def drawn_faces(tmp_path: Path) -> tuple[Path, Path]:
    """Two faces of 68 landmarks on a grid; returns their annotation file and image folder."""
    random = np.random.default_rng(0)
    folder = tmp_path / "faces"
    folder.mkdir()
    images, annotations = [], []
    for number in (1, 2):
        cv2.imwrite(str(folder / f"{number}.png"), random.integers(0, 256, (120, 130, 3), np.uint8))
        images.append({"id": number, "file_name": f"{number}.png", "height": 120, "width": 130})
        index = np.arange(68)
        points = np.column_stack([10 + number * (index % 10) * 5, 10 + (index // 10) * 10, np.full(68, 2)]).astype(float)
        known = {"id": number, "image_id": number, "category_id": 1, "bbox": [10, 10, 90, 40]}
        annotations.append({**known, "keypoints": points.reshape(-1).tolist()})
    category = {"id": 1, "name": "face", "keypoints": list(NAMES), "skeleton": []}
    path = tmp_path / "faces.json"
    path.write_text(json.dumps({"images": images, "categories": [category], "annotations": annotations}))
    return path, folder


@pytest.fixture
def dataset(drawn_faces: tuple[Path, Path]) -> KeypointDataset:
    return load_keypoint_dataset(*drawn_faces)


def test_units(dataset: KeypointDataset) -> None:
    name, units = face_units(dataset)
    assert name == "inter-ocular"
    corners = [np.hypot(5, 10), np.hypot(10, 10)]  # from landmark 36 to 45: a column back, a row down
    np.testing.assert_allclose(units, corners)
    np.testing.assert_allclose(face_units(dataset, "36,45")[1], corners)
    np.testing.assert_allclose(face_units(dataset, "box")[1], 60)
    first, second = dataset.instances[0].keypoints[36:42, :2].mean(axis=0), dataset.instances[0].keypoints[42:48, :2].mean(axis=0)
    for unit in ("inter-pupil", "36-41,42-47"):
        assert face_units(dataset, unit)[1][0] == pytest.approx(np.linalg.norm(first - second))


@pytest.mark.parametrize("unit", ["ears", "36", "36,36", "36,68", "41-36,45", "36,45,50", "0-99999999999,3", ",", "-1,3"])
def test_invalid_units_are_refused(dataset: KeypointDataset, unit: str) -> None:
    with pytest.raises(HRNetError, match=f"`unit`.*{unit}"):
        face_units(dataset, unit)


def test_errors_by_hand(dataset: KeypointDataset) -> None:
    predictions = np.stack([face.keypoints for face in dataset.instances])
    predictions[0, :, 0] += 3  # boxes of 60 pixels: errors of 0.05, and of 0.12 for half of the landmarks
    predictions[1, :34, 1] += 7.2
    result = measure_landmarks("m", dataset, predictions, "box")
    assert result.nme.nme == pytest.approx((0.05 + 0.06) / 2)
    assert result.nme.failure_rate == 0
    assert measure_landmarks("m", dataset, predictions, "box", 0.055).nme.failure_rate == 0.5
    assert result.nme.auc == pytest.approx((0.05 + 0.04) / 2 / 0.1)
    assert result.nme.per_landmark[0] == pytest.approx((0.05 + 0.12) / 2)
    assert result.results[0]["keypoints"] == predictions[0].reshape(-1).tolist()
    assert str(result).splitlines() == [
        "m: 2 faces in 2 images, errors by box (sqrt(width * height))",
        "NME 0.0550  FR@0.1 0.0000  AUC@0.1 0.4500 over 2 faces",
    ]


def test_faces_without_eyes_are_skipped_and_counted(drawn_faces: tuple[Path, Path]) -> None:
    data = json.loads(drawn_faces[0].read_text())
    data["annotations"][0]["keypoints"][3 * 36 + 2] = 0
    drawn_faces[0].write_text(json.dumps(data))
    dataset = load_keypoint_dataset(*drawn_faces)
    predictions = np.stack([face.keypoints for face in dataset.instances])
    result = measure_landmarks("m", dataset, predictions)
    assert result.to_json()["faces_counted"] == 1
    assert "(1 without the landmarks that measure a face are left out)" in str(result)


@pytest.mark.slow
def test_output_offset_moves_keypoints(task_model: MakeModel) -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    plain, moved = (
        predict_box(
            TFLiteModel(task_model("landmarks", NAMES, output=ModelOutput("heatmaps", 4, TensorFormat("float32"), offset)).path),
            image,
            (10, 10, 80, 80),
        )
        for offset in (0.0, 0.5)
    )
    pixel = 100 / 64  # a box of 80 pixels, padded to 100, in a crop of 64
    np.testing.assert_allclose(moved[:, :2] - plain[:, :2], 0.5 * 4 * pixel)


@pytest.mark.slow
def test_command(drawn_faces: tuple[Path, Path], task_model: MakeModel, invoke: Invoke, tmp_path: Path) -> None:
    figures, predictions = tmp_path / "figures.json", tmp_path / "predictions.json"
    arguments = "--annotations", drawn_faces[0], "--images", drawn_faces[1]
    for precision in ("float32", "int8"):
        path = task_model("landmarks", NAMES, precision).path
        code, out, _ = invoke(
            "evaluate", path, *arguments, "--json", figures, "--predictions", predictions, "--unit", "box",
            "--failure-above", 0.08, "--overlays", tmp_path / "pictures",
        )  # fmt: skip
        assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == ["0000_1.jpg", "0001_2.jpg"]
        assert code == 0
        assert "FR@0.08" in out
    data = json.loads(figures.read_text())
    assert (data["task"], data["threshold"], data["faces"], data["images"]) == ("landmarks", 0.08, 2, 2)
    assert data["options"]["unit"] == "box"
    assert len(json.loads(predictions.read_text())) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--failure-above", "0"), "got 0"),
        (("--unit", "nose"), "--unit"),
        (("--flip",), "--flip"),
        (("--sigmas", "0.1"), "--sigmas"),
    ],
)
def test_bad_options(
    options: tuple[str, ...], message: str, drawn_faces: tuple[Path, Path], task_model: MakeModel, invoke: Invoke
) -> None:
    path = task_model("landmarks", NAMES).path
    code, _, error = invoke("evaluate", path, "--annotations", drawn_faces[0], "--images", drawn_faces[1], *options)
    assert code == 2
    assert message in one_line(error)


def test_real_faces(faces: Path, task_model: MakeModel) -> None:
    dataset = load_keypoint_dataset(faces / "face_keypoints_val.json", faces / "images")
    assert len(dataset) == 200
    truth = np.stack([face.keypoints for face in dataset.instances])
    eyes = face_units(dataset)[1]
    assert (eyes > 5).all()
    moved = truth.copy()
    moved[..., 0] += 0.05 * eyes[:, None]
    result = measure_landmarks("moved", dataset, moved)
    assert result.nme.nme == pytest.approx(0.05)
    assert (result.nme.failure_rate, result.nme.faces_counted) == (0, 200)
    assert result.nme.auc == pytest.approx(0.5)
    untrained = evaluate_landmarks(TFLiteModel(task_model("landmarks", NAMES).path), dataset.head(5))
    assert untrained.nme.failure_rate == 1
