"""Evaluation of pose: scores of known keypoints, sigmas, and invalid annotations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import box_matrix, transform_points
from mobile_eval.keypoints.decode import decode_heatmaps
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.model.description import HEATMAPS
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.evaluate import evaluate_pose, joint_sigmas, measure_pose
from mobile_eval.tasks.pose.options import PoseEvalOptions
from mobile_eval.tasks.pose.predictions import coco_results, instance_score
from tests.mobile_eval.conftest import SIZE, People


def stub(category: KeypointCategory, heatmaps: NDArray[np.float32]) -> TFLiteModel:
    """A model that returns the same heatmaps (1, H, W, K) for every crop."""
    output, source = SimpleNamespace(kind=HEATMAPS, offset=0.0, stride=4), SimpleNamespace(geometry="standard")
    description = SimpleNamespace(category=category, output=output, input=source)
    methods = {
        "to_input": lambda crops: crops,
        "run": lambda stored: [heatmaps],
        "decode": lambda outputs: decode_heatmaps(outputs[0]),
    }
    model = SimpleNamespace(path=Path("stub.tflite"), input_size=SIZE, description=description, **methods)
    return cast(TFLiteModel, model)


def test_keypoints_are_at_heatmap_peaks(category: KeypointCategory) -> None:
    heatmaps = np.zeros((1, 16, 12, 17), np.float32)
    heatmaps[0, 9, 4, :] = 0.8
    box = (30.0, 20.0, 40.0, 90.0)
    image = np.zeros((150, 160, 3), np.uint8)
    keypoints = predict_box(stub(category, heatmaps), image, box)
    back = transform_points(keypoints[:, :2], box_matrix(box, SIZE)) / 4
    np.testing.assert_allclose(back, np.broadcast_to([4, 9], (17, 2)), atol=1e-9)
    np.testing.assert_allclose(keypoints[:, 2], 0.8, rtol=1e-6)


def test_perfect_keypoints_have_perfect_scores(people: People) -> None:
    dataset = load_keypoint_dataset(people.annotations, people.images)
    truth = np.stack([instance.keypoints for instance in dataset.instances])
    result = measure_pose("truth", dataset, truth, dataset.category.sigmas)
    assert result.instances == 4
    assert result.images == 3
    assert result.pck.pck == 1.0
    assert result.oks is not None
    assert (result.oks.ap, result.oks.ap50, result.oks.ar) == (1.0, 1.0, 1.0)
    shifted = truth + np.array([1000, 0, 0])
    worse = measure_pose("shifted", dataset, shifted, dataset.category.sigmas)
    assert worse.pck.pck == 0.0
    assert worse.oks is not None
    assert worse.oks.ap == 0.0


def test_every_person_is_evaluated(people: People, model_path: Callable[..., Path]) -> None:
    dataset = load_keypoint_dataset(people.annotations, people.images)
    result = evaluate_pose(TFLiteModel(model_path()), dataset)
    assert result.keypoints.shape == (4, 17, 3)
    assert result.pck.joints_counted == 68
    assert len(np.unique(result.keypoints[:, :, :2].reshape(4, -1), axis=0)) == 4
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert data["pck"]["pck"] == result.pck.pck
    assert set(data["oks"]) >= {"ap", "ap50", "ap75", "ap_medium", "ap_large", "ar"}


def test_results_in_coco_format(people: People) -> None:
    dataset = load_keypoint_dataset(people.annotations, people.images)
    keypoints = np.stack([instance.keypoints for instance in dataset.instances])
    entry = coco_results(dataset, keypoints)[2]
    assert entry["image_id"] == 2
    assert entry["category_id"] == 1
    assert entry["keypoints"] == people.coco["annotations"][2]["keypoints"]


def test_instance_score_averages_confident_keypoints() -> None:
    keypoints = np.zeros((4, 3))
    keypoints[:, 2] = 0.1, 0.4, 0.8, 0.2
    assert instance_score(keypoints) == pytest.approx(0.6)
    assert instance_score(keypoints, 0.5) == pytest.approx(0.3)
    keypoints[:, 2] = 0.1
    assert instance_score(keypoints) == 0.0


def test_limit_keeps_the_first_people(people: People) -> None:
    dataset = load_keypoint_dataset(people.annotations, people.images).head(2)
    truth = np.stack([instance.keypoints for instance in dataset.instances])
    result = measure_pose("truth", dataset, truth, dataset.category.sigmas)
    assert (result.instances, result.images) == (2, 1)
    assert result.oks is not None
    assert result.oks.ar == 1.0
    with pytest.raises(HRNetError, match="got 0"):
        dataset.head(0)


def test_ap_is_missing_without_sigmas(people: People) -> None:
    people.coco["categories"][0]["keypoints"][0] = "antenna"
    people.rewrite()
    dataset = load_keypoint_dataset(people.annotations, people.images)
    truth = np.stack([instance.keypoints for instance in dataset.instances])
    result = measure_pose("truth", dataset, truth, dataset.category.sigmas)
    assert result.oks is None
    assert "--sigmas" in str(result)
    assert "no OKS sigmas are known" in result.to_json()["oks_missing"]
    with_sigmas = measure_pose("truth", dataset, truth, joint_sigmas((0.08,), 17))
    assert with_sigmas.oks is not None
    assert with_sigmas.oks.ap == 1.0


def test_sigmas_are_checked(people: People) -> None:
    assert joint_sigmas((0.1, 0.2), 2) == (0.1, 0.2)
    assert joint_sigmas((0.1,), 3) == (0.1, 0.1, 0.1)
    assert joint_sigmas((), 3) == ()
    with pytest.raises(HRNetError, match=r"`sigmas`.*3 joints, got 2"):
        joint_sigmas((0.1, 0.2), 3)
    with pytest.raises(HRNetError, match=r"`sigmas`.*-1"):
        PoseEvalOptions(sigmas=(0.1, -1, 0.2))
    dataset = load_keypoint_dataset(people.annotations, people.images)
    with pytest.raises(HRNetError, match=r"17 .*0\.1, 0\.2"):
        measure_pose("x", dataset, np.zeros((4, 17, 3)), (0.1, 0.2))


def test_joints_that_differ_from_the_model_are_refused(people: People, model_path: Callable[..., Path]) -> None:
    people.coco["categories"][0]["keypoints"].reverse()
    people.rewrite()
    dataset = load_keypoint_dataset(people.annotations, people.images)
    with pytest.raises(HRNetError, match=r"nose, .*right_ankle"):
        evaluate_pose(TFLiteModel(model_path()), dataset)


@pytest.mark.parametrize("limit", [40])
def test_real_people(lspet: Path, limit: int) -> None:
    dataset = load_keypoint_dataset(lspet / "person_keypoints_val.json", lspet / "images").head(limit)
    assert len(dataset.category.joints) == 14
    assert dataset.category.sigmas is not None
    random = np.random.default_rng(0)
    truth = np.stack([instance.keypoints for instance in dataset.instances])
    result = measure_pose("noisy", dataset, truth + random.normal(0, 3, truth.shape) * [1, 1, 0], dataset.category.sigmas)
    assert result.oks is not None
    assert result.oks.ap is not None
    assert 0.3 < result.oks.ap < 1
    assert result.pck.pck > 0.9


def bad(change: Callable[[dict[str, Any]], Any], message: str) -> Any:
    return pytest.param(change, message, id=message.split()[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        bad(
            lambda coco: coco["images"][0].update(file_name="gone.jpg"),
            "gone.jpg",
        ),
        bad(lambda coco: coco["annotations"][1]["keypoints"].__setitem__(0, 999.0), "nose .*160x130"),
        bad(lambda coco: coco["annotations"][0].update(bbox=[1, 2, 0, 5]), "box .*0"),
        bad(lambda coco: coco["annotations"][0].update(bbox=[-9, 2, 9, 5]), "bbox .*160x130"),
        bad(lambda coco: coco["annotations"][0]["keypoints"].pop(), "50 .*17"),
        bad(lambda coco: coco["annotations"].clear(), "people.json"),
        bad(lambda coco: coco["categories"][0].pop("keypoints"), "people.json .*category"),
        bad(lambda coco: coco.pop("images"), "people.json .*COCO"),
    ],
)
def test_bad_annotations_are_refused(people: People, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    change(people.coco)
    people.rewrite()
    with pytest.raises(HRNetError, match=message) as error:
        load_keypoint_dataset(people.annotations, people.images)
    assert "\n" not in str(error.value)


def test_empty_and_broken_annotation_files(people: People) -> None:
    people.annotations.write_text("")
    with pytest.raises(HRNetError, match=r"people.json .*empty"):
        load_keypoint_dataset(people.annotations, people.images)
    people.annotations.write_text('{"images": [')
    with pytest.raises(HRNetError, match=r"people.json .*JSON"):
        load_keypoint_dataset(people.annotations, people.images)
    people.annotations.unlink()
    with pytest.raises(HRNetError, match=r"people.json.*No such file"):
        load_keypoint_dataset(people.annotations, people.images)
    people.rewrite()
    with pytest.raises(HRNetError, match="absent"):
        load_keypoint_dataset(people.annotations, people.images / "absent")


def test_truncated_image_is_refused(people: People, model_path: Callable[..., Path]) -> None:
    picture = people.images / "000002.jpg"
    picture.write_bytes(picture.read_bytes()[:-200])
    dataset = load_keypoint_dataset(people.annotations, people.images)
    with pytest.raises(HRNetError, match=r"000002.jpg"):
        evaluate_pose(TFLiteModel(model_path()), dataset)
    picture.write_bytes(b"")
    with pytest.raises(HRNetError, match=r"000002.jpg"):
        evaluate_pose(TFLiteModel(model_path()), dataset)


def test_people_of_other_categories_are_ignored(people: People) -> None:
    people.coco["categories"].append({"id": 2, "name": "dog"})
    people.coco["annotations"].append({"id": 99, "image_id": 1, "category_id": 2, "bbox": [0, 0, 5, 5]})
    people.rewrite()
    dataset = load_keypoint_dataset(people.annotations, people.images)
    truth = np.stack([instance.keypoints for instance in dataset.instances])
    result = measure_pose("truth", dataset, truth, dataset.category.sigmas)
    assert result.instances == 4
    assert result.oks is not None
    assert result.oks.ap == 1.0
