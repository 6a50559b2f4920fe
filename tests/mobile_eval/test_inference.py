"""The official way from heatmaps to keypoints, against plain loops, and many people as one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mobile_eval.datasets.coco import load_keypoint_dataset
from mobile_eval.decode import decode_dark, decode_heatmaps
from mobile_eval.inference import PoseOptions, predict_box, predict_people, unmirrored
from mobile_eval.model_file import ModelOutput, TensorFormat
from mobile_eval.preprocess import read_image
from mobile_eval.runtime import TfliteModel

from .conftest import SIZE, People


def gaussian(x: float, y: float, height: int = 64, width: int = 48, sigma: float = 2.0, peak: float = 0.9) -> NDArray[np.float32]:
    """A heatmap (1, H, W, 1)."""
    rows, columns = np.mgrid[:height, :width]
    return (peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)))[None, ..., None].astype(np.float32)


@pytest.mark.parametrize(("x", "y"), [(20.0, 30.0), (20.3, 30.45), (9.8, 50.2), (40.49, 12.51)])
def test_dark_finds_a_gaussian_s_centre(x: float, y: float) -> None:
    found = decode_dark(gaussian(x, y))[0, 0]
    np.testing.assert_allclose(found[:2], [x, y], atol=0.01)
    assert found[2] == pytest.approx(gaussian(x, y).max())
    quarter = decode_heatmaps(gaussian(x, y))[0, 0]
    assert np.abs(found[:2] - [x, y]).max() <= np.abs(quarter[:2] - [x, y]).max()


def naive_dark(heatmap: NDArray[np.float32]) -> list[float]:
    """One heatmap (H, W), as the official code goes about it."""
    height, width = heatmap.shape
    y, x = map(int, np.unravel_index(heatmap.argmax(), heatmap.shape))
    peak = float(heatmap[y, x])
    if peak <= 0:
        return [0.0, 0.0, peak]
    blurred = cv2.GaussianBlur(heatmap, (11, 11), 0)
    logs = np.log(np.maximum(blurred * (peak / blurred.max()), 1e-10)).astype(np.float64)
    if 1 < x < width - 2 and 1 < y < height - 2:
        first = np.array([logs[y, x + 1] - logs[y, x - 1], logs[y + 1, x] - logs[y - 1, x]]) / 2
        xx = (logs[y, x + 2] - 2 * logs[y, x] + logs[y, x - 2]) / 4
        yy = (logs[y + 2, x] - 2 * logs[y, x] + logs[y - 2, x]) / 4
        xy = (logs[y + 1, x + 1] - logs[y - 1, x + 1] - logs[y + 1, x - 1] + logs[y - 1, x - 1]) / 4
        if xx * yy - xy**2 != 0:
            move = -np.linalg.inv(np.array([[xx, xy], [xy, yy]])) @ first
            return [x + move[0], y + move[1], peak]
    return [float(x), float(y), peak]


def test_dark_is_the_official_one() -> None:
    rng = np.random.default_rng(0)
    maps = np.concatenate([gaussian(*rng.uniform(0, [47, 63]), peak=rng.uniform(0.1, 1)) for _ in range(60)])
    maps += rng.normal(0, 0.02, maps.shape).astype(np.float32)
    maps[0] = -1
    expected = np.array([naive_dark(one[..., 0]) for one in maps])
    np.testing.assert_allclose(decode_dark(maps)[:, 0], expected, atol=1e-4)


def test_mirrored_heatmaps_come_back() -> None:
    rng = np.random.default_rng(1)
    maps = rng.random((2, 5, 7, 3), np.float32)
    back = unmirrored(maps, np.array([0, 2, 1]))
    for image, row, column, joint in np.ndindex(maps.shape):
        source = 7 - 1 - max(column - 1, 0)  # mirrored, then moved right by one
        assert back[image, row, column, joint] == maps[image, row, source, (0, 2, 1)[joint]]


def test_the_flip_test_averages_both(model_path: Callable[..., Path], people: People) -> None:
    model = TfliteModel(model_path())
    crops = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    plain, mirrored = model.heatmaps(crops), model.heatmaps(np.ascontiguousarray(crops[:, :, ::-1]))
    expected = decode_heatmaps((plain + unmirrored(mirrored, model.description.category.mirrored)) / 2)
    found = PoseOptions(flip=True).keypoints(model, model.stored(crops))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_needs_heatmaps_says_so(model_path: Callable[..., Path], describe: Callable[..., object]) -> None:
    model = TfliteModel(model_path())
    object.__setattr__(model.description, "output", ModelOutput("keypoints", 4, TensorFormat("float32")))
    PoseOptions().check(model)
    with pytest.raises(ValueError, match="decodes in its graph"):
        PoseOptions(flip=True).check(model)
    with pytest.raises(ValueError, match="no decoding named 'best'; there are own, quarter, dark, udp"):
        PoseOptions(decoding="best")


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_many_are_as_one_by_one(precision: str, model_path: Callable[..., Path], people: People) -> None:
    model = TfliteModel(model_path(precision))
    persons = load_keypoint_dataset(people.annotations, people.images).persons
    found = list(predict_people(model, persons))
    for keypoints, person in zip(found, persons, strict=True):
        np.testing.assert_array_equal(keypoints, predict_box(model, read_image(person.image_path), person.box))
