"""Heatmap losses against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from training.tasks.pose.losses import HeatmapMSE, HeatmapOHKM

# Two images of 2 x 1 pixels with three keypoints, whose halved mean squared errors are 1, 4, 9 and 16, 0, 0.25.
PREDICTED = np.sqrt(2 * np.array([[1.0, 4, 9], [16, 0, 0.25]]))[:, None, None].repeat(2, axis=1).astype(np.float32)
TRUE = np.zeros_like(PREDICTED)


def weights(*labelled: list[float]) -> np.ndarray:
    return np.array(labelled, np.float32)[:, None, None]


def test_mse_is_halved_and_averaged_over_all_keypoints() -> None:
    assert float(HeatmapMSE()(TRUE, PREDICTED)) == pytest.approx((1 + 4 + 9 + 16 + 0 + 0.25) / 6)
    one_missing = weights([1, 1, 0], [1, 1, 1])
    assert float(HeatmapMSE()(TRUE, PREDICTED, one_missing)) == pytest.approx((1 + 4 + 16 + 0.25) / 6)


def test_ohkm_takes_the_worst_keypoints_of_each_image() -> None:
    loss = HeatmapOHKM(top=2)
    assert float(loss(TRUE, PREDICTED)) == pytest.approx(((4 + 9) / 2 + (16 + 0.25) / 2) / 2)
    assert float(loss(TRUE, PREDICTED, weights([1, 1, 0], [1, 1, 1]))) == pytest.approx(((1 + 4) / 2 + (16 + 0.25) / 2) / 2)
    assert float(loss(TRUE, PREDICTED, weights([0, 0, 1], [0, 0, 0]))) == pytest.approx((9 / 2 + 0) / 2)


def test_ohkm_with_fewer_keypoints_than_top_equals_mse() -> None:
    assert HeatmapOHKM().top == 8
    assert float(HeatmapOHKM()(TRUE, PREDICTED)) == pytest.approx(float(HeatmapMSE()(TRUE, PREDICTED)))


def test_ohkm_trains_only_the_worst_keypoint() -> None:
    model = keras.Sequential([keras.layers.Conv2D(3, 1, use_bias=False, kernel_initializer="zeros", input_shape=(2, 1, 1))])
    model.compile(keras.optimizers.SGD(0.1), HeatmapOHKM(top=1))
    heatmaps = np.array([1.0, -3.0, 2.0], np.float32) * np.ones((4, 2, 1, 1), np.float32)
    model.fit(np.ones((4, 2, 1, 1), np.float32), heatmaps, sample_weight=np.ones((4, 1, 1, 3), np.float32), verbose=0)
    kernel = model.get_weights()[0].ravel()
    assert kernel[1] < -0.1
    assert kernel[[0, 2]].tolist() == [0, 0]
