"""PCK and PCKh, computed by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.distance import head_sizes, keypoint_distances, normalized_distances
from mobile_eval.metrics.pck import correct_keypoints, pck, pckh
from mobile_eval.tasks.pose.evaluate import head_joint_indices, measure_pose
from tests.mobile_eval.conftest import People

JOINTS = ("head_top", "neck", "pelvis")


def test_head_sizes() -> None:
    np.testing.assert_allclose(head_sizes([(7, 7, 30, 40), None]), [30, np.nan])  # 0.6 of a diagonal of 50
    truth = np.array([[[0, 0, 2], [6, 8, 2], [9, 9, 2]], [[0, 0, 2], [6, 8, 0], [9, 9, 2]]], float)
    np.testing.assert_allclose(keypoint_distances(truth, [0], [1]), [10, np.nan])
    np.testing.assert_allclose(keypoint_distances(truth, [0, 1], [2]), [np.hypot(6, 5), np.nan])


def test_pck_by_hand() -> None:
    truth = np.array([[[10, 10, 2], [50, 50, 1], [5, 5, 0]]], float)
    predicted = truth[..., :2] + [[[8, 0], [0, 8.1], [0, 0]]]
    result = pck(predicted, truth, [[0, 0, 40, 80]])  # within 8 px, a tenth of the longer side
    assert (result.pck, result.joints_counted, result.per_joint[:2]) == (0.5, 2, (1.0, 0.0))
    assert np.isnan(result.per_joint[2])
    assert correct_keypoints(predicted, truth, [[0, 0, 40, 80]]).tolist() == [[True, False, False]]


def test_pckh_by_hand() -> None:
    truth = np.array([[[10, 10, 2], [50, 10, 1], [5, 5, 2]], [[10, 10, 2], [90, 90, 0], [5, 5, 2]]], float)
    truth = np.concatenate([truth, truth[:1]])  # the third instance has no head
    predicted = truth[..., :2].copy()
    predicted[0, 0, 0] += 15  # heads of 30 pixels: within 15
    predicted[0, 1, 1] += 15.1
    predicted[:2, 2] += 100
    result = pckh(predicted, truth, [30, 30, np.nan], JOINTS)
    assert result.per_joint == (1.0, 0.0, 0.0)
    assert result.joints_counted == 3  # MPII counts no pelvis
    assert result.pck == pytest.approx(2 / 3)
    assert str(result) == "PCKh@0.5 0.6667 over 3 joints"


def test_nan_predictions_are_infinitely_far() -> None:
    truth = np.array([[[1, 1, 2], [1, 1, 0]]], float)
    distances = normalized_distances(np.full((1, 2, 2), np.nan), truth, [10])
    np.testing.assert_array_equal(distances, [[np.inf, np.nan]])


def test_head_boxes_and_head_joints_of_a_dataset(people: People) -> None:
    dataset = load_keypoint_dataset(people.annotations, people.images)
    truth = np.stack([instance.keypoints for instance in dataset.instances])
    assert measure_pose("none", dataset, truth, dataset.category.sigmas).pckh is None
    people.coco["annotations"][1]["bbox_head"] = [10, 10, 30, 40]
    people.rewrite()
    dataset = load_keypoint_dataset(people.annotations, people.images)
    boxed = measure_pose("boxes", dataset, truth + np.array([15.1, 0, 0]), dataset.category.sigmas)
    assert boxed.pckh is not None
    assert (boxed.pckh.pck, boxed.pckh.joints_counted) == (0.0, 17)
    joints = measure_pose("joints", dataset, truth, None, head_joint_indices(("nose", "left_ear"), dataset.category.joints))
    assert joints.pckh is not None
    assert joints.pckh.joints_counted == 4 * 17
    assert json.loads(json.dumps(joints.to_json(), allow_nan=False))["pckh"]["pckh"] == 1.0
    assert "PCKh@0.5 1.0000 over 68 joints" in str(joints)


@pytest.mark.parametrize("text", ["nose", "nose,nose", "nose,antenna", "nose,left_ear,left_eye"])
def test_invalid_head_joints(text: str) -> None:
    with pytest.raises(HRNetError, match=f"`head_joints`.*{text}"):
        head_joint_indices(tuple(text.split(",")), ("nose", "left_ear", "left_eye"))


def test_an_invalid_head_box_is_named(people: People) -> None:
    people.coco["annotations"][0]["bbox_head"] = [1, 2, 0, 4]
    people.rewrite()
    with pytest.raises(HRNetError, match=r"annotation 1 \(000001.jpg\), bbox_head"):
        load_keypoint_dataset(people.annotations, people.images)
