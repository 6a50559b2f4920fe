"""A detector and a pose model together: accuracy beside true boxes, recall, times, and pipelines side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.benchmark.chain_timing import ChainTime, time_chains
from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.pipeline.pipeline import Pipeline
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.chain import evaluate_chain
from mobile_eval.tasks.pose.evaluate import evaluate_pose
from mobile_eval.tasks.pose.options import PoseEvalOptions
from tests.mobile_eval.conftest import JOINTS, Invoke, one_line
from tests.support.ssd_file import cell_box, scene, write_ssd

SIZE = (160, 240)
# People as the detector sees them, by image; the last one of the second image is hidden from it.
IMAGES = ([(0, 0), (1, 3)], [(2, 2), (3, 5)], [])
HIDDEN = (3, 5)


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    return write_ssd(tmp_path / "ssd.tflite")


@pytest.fixture
def annotations(tmp_path: Path, model_path: Callable[..., Path]) -> Path:
    """Images whose annotated joints are what the model predicts in the true boxes."""
    (tmp_path / "images").mkdir()
    model = TFLiteModel(model_path())
    images, entries = [], []
    for number, cells in enumerate(IMAGES, 1):
        image = scene({cell: "person" for cell in cells if cell != HIDDEN}, SIZE)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), image[..., ::-1])
        images.append({"id": number, "file_name": f"{number}.png", "height": SIZE[0], "width": SIZE[1]})
        for cell in cells:
            box = cell_box(*cell, SIZE)
            points = predict_box(model, image, box)
            inside = np.all((points[:, :2] >= 0) & (points[:, :2] < SIZE[::-1]), axis=1)
            points = np.where(inside[:, None], np.column_stack([points[:, :2], np.full(17, 2.0)]), 0.0)
            entry = {"id": len(entries) + 1, "image_id": number, "category_id": 1, "iscrowd": 0, "area": 1600.0, "bbox": box}
            entries.append({**entry, "num_keypoints": int(inside.sum()), "keypoints": points.reshape(-1).tolist()})
    categories = [{"id": 1, "name": "person", "keypoints": list(JOINTS), "skeleton": []}]
    path = tmp_path / "people.json"
    path.write_text(json.dumps({"images": images, "annotations": entries, "categories": categories}))
    return path


@pytest.fixture
def people(annotations: Path) -> KeypointDataset:
    return load_keypoint_dataset(annotations, annotations.with_name("images"))


def test_chain_beside_true_boxes(
    people: KeypointDataset, detector: Path, model_path: Callable[..., Path], tmp_path: Path
) -> None:
    model, predictions = TFLiteModel(model_path()), tmp_path / "poses.json"
    result = evaluate_chain(model, people, PoseEvalOptions(detector=detector, min_score=0.5, predictions=predictions))
    assert (result.images, result.boxes, result.recall) == (3, 3, 0.75)
    alone = evaluate_pose(model, people)
    assert result.true_boxes.to_json() == alone.to_json()
    assert alone.oks is not None
    assert alone.oks.ap == pytest.approx(1, abs=0.01)
    assert result.oks.ar == pytest.approx(0.75, abs=0.01)
    assert result.share == pytest.approx(result.oks.ap / alone.oks.ap)  # type: ignore[operator]
    assert len(json.loads(predictions.read_text())) == 3
    assert [entry.people for entry in result.times] == [1, 2, 5]
    text = str(result)
    assert "recall of the detector 0.7500 (IoU 0.5)" in text
    assert "ssd.tflite and float32.tflite: 3 boxes in 3 images" in text
    assert result.to_json()["chain"]["recall"] == 0.75


def test_nobody_is_found(people: KeypointDataset, tmp_path: Path, model_path: Callable[..., Path]) -> None:
    blind = write_ssd(tmp_path / "blind.tflite", labels="dog\nperson\n")
    result = evaluate_chain(TFLiteModel(model_path()), people, PoseEvalOptions(detector=blind, min_score=0.5))
    assert (result.boxes, result.recall, result.oks.ap, result.share, result.results) == (0, 0, 0, 0, [])


def test_times(people: KeypointDataset, detector: Path, model_path: Callable[..., Path]) -> None:
    pipeline = Pipeline(detector, model_path())
    item = np.zeros((*SIZE, 3), np.uint8), np.array([cell_box(0, 0, SIZE)])
    [times] = time_chains([pipeline], [item], (1, 5), rounds=12)
    one, five = times
    assert isinstance(one, ChainTime)
    assert (one.people, five.people) == (1, 5)
    assert five.model["network"].p50_ms > one.model["network"].p50_ms
    for entry in times:
        steps = [values.p50_ms for stage in (entry.detector, entry.model) for values in stage.values()]
        assert min(steps) > 0
        assert max(steps) < entry.total.p90_ms
        assert entry.total.p90_ms >= entry.total.p50_ms
        assert entry.overhead > 1


def test_commands(annotations: Path, detector: Path, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path) -> None:
    data = ("--annotations", annotations, "--images", annotations.with_name("images"))
    model, figures = model_path(), tmp_path / "figures.json"
    code, printed, error = invoke("evaluate", model, *data, "--detector", detector, "--min-score", 0.5, "--json", figures)
    assert code == 0, error
    assert "recall of the detector 0.7500" in printed
    stored = json.loads(figures.read_text())
    assert stored["chain"]["detector"] == "ssd.tflite"
    assert stored["data"]["detector"] == str(detector)
    second = model_path(name="second")
    code, printed, error = invoke(
        "compare", model, second, *data, "--detector", detector, "--rounds", 3, "--output", tmp_path / "report"
    )
    assert code == 0, error
    table = printed[printed.index("\npipeline ") + 1 :].splitlines()
    assert "1 person, ms" in table[0]
    assert table[1].startswith("float32 ")
    assert "(ratio 1.00)" in table[1]
    assert table[2].startswith("second ")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<caption>Pipelines of ssd.tflite and each model</caption>" in page
    assert page.count('data-label="5 people, ms"') == 2
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    assert [entry["evaluation"]["chain"]["times"][2]["people"] for entry in results["models"]] == [5, 5]
    code, printed, error = invoke(
        "benchmark", model, "--detector", detector, "--runs", 3, "--seconds", 0, "--no-memory", "--json", figures
    )
    assert code == 0, error
    assert "float32.tflite, 5 people: " in printed
    assert [entry["people"] for entry in json.loads(figures.read_text())["chains"]["float32.tflite"]] == [1, 2, 5]
    code, _, error = invoke("evaluate", model, *data, "--detector", detector, "--boxes", annotations)
    assert code == 2
    assert "--boxes and --detector both give boxes" in one_line(error)
    with pytest.raises(HRNetError, match="`resume` is for an evaluation in given boxes"):
        PoseEvalOptions(detector=detector, resume=True)
