"""The UDP geometry: matrices by hand, mirroring without a shift, and the description."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import UDP, box_matrix, crop_matrix, distances, heatmap_pixel, mirrored, transform_points
from mobile_eval.image.preprocess import IMAGENET_MEAN, IMAGENET_STD, warp_crop
from mobile_eval.keypoints.decode import decode_udp, keypoints_in_image
from mobile_eval.keypoints.inference import DecodingOptions, flip_back, predict_box
from mobile_eval.model.archive import read_description
from mobile_eval.model.description import ModelDescription, ModelInput, TensorFormat
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.mobile_eval.conftest import SIZE
from tests.mobile_eval.heatmaps import gaussian

IN_UDP = ModelInput(SIZE, IMAGENET_MEAN, IMAGENET_STD, TensorFormat("float32"), geometry=UDP)


def test_box_edges_map_to_the_outermost_pixel_centers() -> None:
    matrix = box_matrix((10, 20, 30, 100), (128, 96), UDP)  # about (25, 70), 93.75 x 125 when extended and padded
    corners = [[25 - 46.875, 70 - 62.5], [25 + 46.875, 70 + 62.5]]
    np.testing.assert_allclose(transform_points(corners, matrix), [[0, 0], [95, 127]], atol=1e-9)
    expected = [[95 / 93.75, 0, 47.5 - 25 * 95 / 93.75], [0, 127 / 125, 63.5 - 70 * 127 / 125]]
    np.testing.assert_allclose(matrix, expected, atol=1e-12)


def test_a_rotated_crop_by_hand() -> None:
    matrix = crop_matrix((31, 17), (60, 80), (128, 96), math.pi / 2, UDP)
    # right becomes down, down becomes left; each side has its own scale
    expected = [[0, -95 / 60, 47.5 + 17 * 95 / 60], [127 / 80, 0, 63.5 - 31 * 127 / 80]]
    np.testing.assert_allclose(matrix, expected, atol=1e-12)


def test_heatmap_corners_map_to_input_corners() -> None:
    np.testing.assert_allclose(heatmap_pixel((128, 96), UDP), [95 / 23, 127 / 31])
    np.testing.assert_array_equal(heatmap_pixel((128, 96)), [4, 4])
    with pytest.raises(HRNetError, match="'round'"):
        distances((128, 96), "round")


def test_mirroring_maps_pixel_centers_to_pixel_centers() -> None:
    matrix = box_matrix((10, 20, 30, 100), (128, 96), UDP)
    point = np.array([31.5, 44.25])
    x, y = transform_points(point, matrix)
    np.testing.assert_allclose(transform_points(point, mirrored(matrix, (128, 96), UDP)), [95 - x, y])
    x, y = transform_points(point, box_matrix((10, 20, 30, 100), (128, 96)))
    plain = mirrored(box_matrix((10, 20, 30, 100), (128, 96)), (128, 96))
    np.testing.assert_allclose(transform_points(point, plain), [96 - x, y])


def test_drawn_spot_is_decoded_at_its_position() -> None:
    """A spot is drawn in an image, cropped, shrunk to a heatmap, and decoded."""
    image, box, size = np.zeros((300, 240, 3), np.uint8), (60.0, 40.0, 120.0, 200.0), (256, 192)
    spot = np.array([100.3, 170.6])
    image[:] = 255 * gaussian(*spot, 300, 240, sigma=9, peak=1)[0]
    matrix = box_matrix(box, size, UDP)
    crop = warp_crop(image, matrix, size)[..., :1].astype(np.float32) / 255
    pixel = heatmap_pixel(size, UDP)
    shrink = np.array([[pixel[0], 0, 0], [0, pixel[1], 0]])  # heatmap pixels to crop pixels
    heatmap = cv2.warpAffine(crop, shrink, (48, 64), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)[None, ..., None]
    keypoint = keypoints_in_image(decode_udp(heatmap), matrix[None], pixel)[0, 0]
    np.testing.assert_allclose(keypoint[:2], spot, atol=0.05)


def test_flip_back_needs_no_shift() -> None:
    """Maps of two symmetric joints are unchanged by mirroring and flipping back."""
    maps = np.concatenate([gaussian(11.25, 20.5, 32, 24), gaussian(23 - 11.25, 20.5, 32, 24)], axis=-1)
    seen_mirrored = maps[:, :, ::-1][..., [1, 0]]  # the output for the mirrored crop, which equals the crop
    np.testing.assert_allclose(seen_mirrored, maps, atol=1e-6)
    back = flip_back(np.ascontiguousarray(seen_mirrored), np.array([1, 0]), shift=False)
    np.testing.assert_allclose(back, maps, atol=1e-6)
    np.testing.assert_allclose(decode_udp(back)[0, :, :2], [[11.25, 20.5], [23 - 11.25, 20.5]], atol=0.01)


def test_description_stores_the_geometry(model_path: Callable[..., Path], describe: Callable[..., ModelDescription]) -> None:
    assert read_description(model_path(name="u", input=IN_UDP)).input == IN_UDP
    assert json.loads(model_path(name="u").with_suffix(".json").read_text())["input"]["geometry"] == "standard"
    plain = describe().to_json()
    assert plain["input"]["geometry"] == "standard"
    assert ModelDescription.from_json(plain).input.geometry == "standard"
    plain["input"]["geometry"] = "round"
    with pytest.raises(HRNetError, match="'round'"):
        ModelDescription.from_json(plain)


def test_geometry_sets_crop_decoding_and_flip(model_path: Callable[..., Path]) -> None:
    model = TFLiteModel(model_path(input=IN_UDP))
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    box = (10.0, 5.0, 40.0, 70.0)
    matrix, joints = box_matrix(box, SIZE, UDP), model.description.category.mirrored
    crop = warp_crop(image, matrix, SIZE)[None]
    plain, flipped = model.heatmaps(crop), model.heatmaps(np.ascontiguousarray(crop[:, :, ::-1]))
    both = np.float32(0.5) * (plain + flip_back(flipped, joints, shift=False))
    for options, maps in ((DecodingOptions(), plain), (DecodingOptions(flip=True), both)):
        expected = keypoints_in_image(decode_udp(maps), matrix[None], heatmap_pixel(SIZE, UDP))[0]
        np.testing.assert_allclose(predict_box(model, image, box, options), expected, atol=1e-5)
    assert DecodingOptions().resolved(model).decoding == "udp"
    assert DecodingOptions().resolved(TFLiteModel(model_path())).decoding == "quarter"
