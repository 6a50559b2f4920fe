"""OKS and OKS-based suppression, against loops over pairs and keypoints."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mobile_eval.metrics.oks import annotation_oks, oks_nms, pose_oks

Array = NDArray[np.float64]
SIGMAS = np.random.default_rng(0).uniform(0.02, 0.1, 17)


def oks(pose: Array, reference: Array, area: float) -> float:
    """The formula of cocodataset.org over all keypoints: s^2 is the area, k = 2 sigma."""
    similarities = []
    for (x, y), (u, v), sigma in zip(pose[:, :2], reference[:, :2], SIGMAS, strict=True):
        similarities.append(math.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * area * (2 * sigma) ** 2)))
    return sum(similarities) / len(similarities)


def suppress(poses: Array, scores: Array, areas: Array, threshold: float) -> list[int]:
    """Greedy suppression: a better remaining pose with an OKS above the threshold removes a pose."""
    remaining: list[int] = []
    for index in np.argsort(-scores).tolist():
        better = [oks(poses[index], poses[i], (areas[index] + areas[i]) / 2) for i in remaining]
        if not any(similarity > threshold for similarity in better):
            remaining.append(index)
    return remaining


def test_pose_oks() -> None:
    rng = np.random.default_rng(1)
    pose, references, areas = rng.uniform(0, 30, (17, 3)), rng.uniform(0, 30, (5, 17, 3)), rng.uniform(2000, 40000, 5)
    expected = [oks(pose, reference, area) for reference, area in zip(references, areas, strict=True)]
    np.testing.assert_allclose(pose_oks(pose, references, areas, SIGMAS.tolist()), expected, rtol=1e-9)


def test_only_labelled_keypoints_of_annotations_count() -> None:
    rng = np.random.default_rng(2)
    points, keypoints = rng.uniform(0, 30, (1, 17, 2)), rng.uniform(0, 30, (1, 17, 3))
    keypoints[0, 3:, 2] = 0
    distances = np.hypot(*(points - keypoints[..., :2])[0, :3].T)
    expected = np.mean(np.exp(-(distances**2) / (2 * 900 * (2 * SIGMAS[:3]) ** 2)))
    result = annotation_oks(points, keypoints, np.array([[0.0, 0, 30, 30]]), np.array([900.0]), SIGMAS.tolist())
    assert result[0] == pytest.approx(expected)


def test_without_labelled_keypoints_the_tripled_box_counts() -> None:
    points = np.array([[[-24.0, 20.0]] * 17])  # 4 px to the left of three boxes side by side, whose x go from -20 to 40
    result = annotation_oks(points, np.zeros((1, 17, 3)), np.array([[0.0, 10, 20, 20]]), np.array([400.0]), SIGMAS.tolist())
    assert result[0] == pytest.approx(np.mean(np.exp(-(4.0**2) / (2 * 400 * (2 * SIGMAS) ** 2))))


def test_oks_nms() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        people = rng.uniform(0, 300, (4, 17, 3))
        poses = np.concatenate([people + rng.normal(0, spread, people.shape) for spread in (0, 1, 3, 8)])
        scores, areas = rng.random(16), rng.uniform(2000, 40000, 16)
        assert oks_nms(poses, scores, areas, SIGMAS.tolist()).tolist() == suppress(poses, scores, areas, 0.9)
