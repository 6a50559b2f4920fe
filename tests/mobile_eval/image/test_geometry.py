"""Boxes, warps, decoding and PCK, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mobile_eval.image.geometry import box_matrix, crop_matrix, expand_box, invert, transform_points
from mobile_eval.image.preprocess import normalize, warp_crop
from mobile_eval.keypoints.decode import decode_heatmaps, keypoints_in_image
from mobile_eval.metrics.pck import pck


def test_box_is_extended_to_the_aspect_ratio_and_padded() -> None:
    center, extent = expand_box((10, 20, 30, 100), (256, 192))
    np.testing.assert_allclose(center, [25, 70])
    np.testing.assert_allclose(extent, [75 * 1.25, 100 * 1.25])
    _, wide = expand_box((0, 0, 90, 10), (256, 192))
    np.testing.assert_allclose(wide, [90 * 1.25, 120 * 1.25])


def test_box_center_maps_to_the_input_center() -> None:
    matrix = box_matrix((10, 20, 30, 100), (128, 96))
    np.testing.assert_allclose(transform_points([25, 70], matrix), [48, 64])
    top = transform_points([25, 70 - 62.5], matrix)
    np.testing.assert_allclose(top, [48, 0], atol=1e-9)


def test_invert_undoes_a_rotated_crop() -> None:
    matrix = crop_matrix((31, 17), (60, 80), (128, 96), rotation=0.7)
    points = np.random.default_rng(0).uniform(-50, 200, (9, 2))
    np.testing.assert_allclose(transform_points(transform_points(points, matrix), invert(matrix)), points, atol=1e-9)


def test_warp_follows_the_matrix() -> None:
    image = np.zeros((90, 70, 3), np.uint8)
    image[40, 30] = 255
    matrix = np.array([[1.0, 0.0, -20.0], [0.0, 1.0, -30.0]])
    crop = warp_crop(image, matrix, (32, 24))
    assert crop.shape == (32, 24, 3)
    assert np.argwhere(crop[..., 0] > 0).tolist() == [[10, 10]]


def test_normalize_by_hand() -> None:
    white = normalize(np.full((1, 1, 3), 255, np.uint8))
    np.testing.assert_allclose(white[0, 0], (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], rtol=1e-6)
    np.testing.assert_allclose(normalize(np.full((1, 3), 51, np.uint8), (0, 0, 0), (1, 1, 1)), 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("neighbor", "offset"), [((10, 9), (0.25, 0)), ((10, 7), (-0.25, 0)), ((11, 8), (0, 0.25)), ((9, 8), (0, -0.25))]
)
def test_decoding_shifts_a_quarter_pixel_to_the_higher_neighbor(neighbor: tuple[int, int], offset: tuple[float, float]) -> None:
    heatmaps = np.zeros((1, 20, 16, 1), np.float32)
    heatmaps[0, 10, 8, 0] = 0.9
    heatmaps[0, neighbor[0], neighbor[1], 0] = 0.5
    np.testing.assert_allclose(decode_heatmaps(heatmaps)[0, 0], [8 + offset[0], 10 + offset[1], 0.9], rtol=1e-6)


def test_decoding_at_the_border_and_of_empty_heatmaps() -> None:
    heatmaps = np.zeros((1, 8, 6, 2), np.float32)
    heatmaps[0, 7, 5, 0] = 1.0
    heatmaps[..., 1] = -0.1
    np.testing.assert_allclose(decode_heatmaps(heatmaps)[0], [[5, 7, 1], [0, 0, -0.1]], rtol=1e-6)


def test_keypoints_are_mapped_back_to_the_image() -> None:
    matrix = box_matrix((10, 20, 30, 100), (128, 96))
    decoded = np.array([[[12.0, 16.0, 0.5]]])  # the input's centre, at stride 4
    np.testing.assert_allclose(keypoints_in_image(decoded, matrix[None])[0, 0], [25, 70, 0.5])


def test_pck_by_hand() -> None:
    truth = np.array([[[10, 10, 2], [50, 10, 1], [5, 5, 0]], [[10, 10, 2], [90, 90, 2], [5, 5, 0]]], float)
    predictions = truth.copy()
    predictions[0, 0, 0] += 4.9  # box of 50 pixels: within 5
    predictions[1, 0, 0] += 5.1
    predictions[:, 2] += 1000  # not labelled
    result = pck(predictions, truth, [(0, 0, 50, 20), (0, 0, 30, 50)])
    assert result.pck == pytest.approx(3 / 4)
    assert result.per_joint[:2] == (0.5, 1.0)
    assert np.isnan(result.per_joint[2])
    assert result.joints_counted == 4
