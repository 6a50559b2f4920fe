"""The flip test, and batched against single predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_image
from mobile_eval.keypoints.decode import decode_heatmaps
from mobile_eval.keypoints.inference import DecodingOptions, checked_decoding, flip_back, predict_box, predict_instances
from mobile_eval.model.description import ModelOutput, TensorFormat
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.mobile_eval.conftest import SIZE, People


def test_flip_back() -> None:
    rng = np.random.default_rng(1)
    maps = rng.random((2, 5, 7, 3), np.float32)
    back = flip_back(maps, np.array([0, 2, 1]))
    for image, row, column, joint in np.ndindex(maps.shape):
        source = 7 - 1 - max(column - 1, 0)  # mirrored, then moved right by one
        assert back[image, row, column, joint] == maps[image, row, source, (0, 2, 1)[joint]]


def test_flip_test_averages_both_heatmaps(model_path: Callable[..., Path], people: People) -> None:
    model = TFLiteModel(model_path())
    crops = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    plain, mirrored = model.heatmaps(crops), model.heatmaps(np.ascontiguousarray(crops[:, :, ::-1]))
    expected = decode_heatmaps((plain + flip_back(mirrored, model.description.category.mirrored)) / 2)
    keypoints = DecodingOptions(flip=True).keypoints(model, model.to_input(crops))
    np.testing.assert_allclose(keypoints, expected, atol=1e-6)


def test_heatmap_options_need_heatmaps(model_path: Callable[..., Path], describe: Callable[..., object]) -> None:
    model = TFLiteModel(model_path())
    object.__setattr__(model.description, "output", ModelOutput("keypoints", 4, TensorFormat("float32")))
    DecodingOptions().check(model)
    with pytest.raises(HRNetError, match=r"\.tflite"):
        DecodingOptions(flip=True).check(model)
    with pytest.raises(HRNetError, match="'best'"):
        checked_decoding("best")


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_batched_predictions_match_single_ones(precision: str, model_path: Callable[..., Path], people: People) -> None:
    model = TFLiteModel(model_path(precision))
    instances = load_keypoint_dataset(people.annotations, people.images).instances
    predictions = list(predict_instances(model, instances))
    for keypoints, instance in zip(predictions, instances, strict=True):
        np.testing.assert_array_equal(keypoints, predict_box(model, read_image(instance.image_path), instance.box))
