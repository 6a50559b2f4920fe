"""Decoding of a detector by centers in numpy, by hand and against loops."""

from __future__ import annotations

import numpy as np
import pytest

from mobile_eval.tasks.detection.centers import decode_centers, peaks

LOW = -9.0


def test_peaks_are_maxima_of_3x3_places() -> None:
    centers = np.random.default_rng(0).normal(0, 2, (9, 12, 3)).astype(np.float32)
    expected = set()
    for row, column, label in np.ndindex(centers.shape):
        around = centers[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2, label]
        value = centers[row, column, label]
        if value == around.max() and 1 / (1 + np.exp(-value)) > 0.05:
            expected.add((row, column, label))
    assert len(expected) > 10
    assert set(zip(*(indices.tolist() for indices in peaks(centers)), strict=True)) == expected


def test_the_best_of_many_peaks() -> None:
    centers = np.full((64, 64, 1), LOW, np.float32)
    centers[::2, ::2, 0] = np.arange(1024).reshape(32, 32) / 1024
    rows, columns, labels = peaks(centers)
    assert len(rows) == 500
    assert set(labels) == {0}
    assert centers[rows, columns, 0].min() == (1024 - 500) / 1024


def test_box_by_hand() -> None:
    centers, sizes, offsets = np.full((8, 10, 2), LOW), np.zeros((8, 10, 2)), np.zeros((8, 10, 2))
    centers[3, 4, 1], sizes[3, 4], offsets[3, 4] = 2.0, np.log([4, 2]), [0.5, 0.25]
    objects = decode_centers(centers, sizes, offsets, (32, 40), (64, 160))
    # 4 pixels of the input per place; 2 and 4 pixels of the image per pixel of the input
    np.testing.assert_allclose(objects.boxes, [[(4.5 - 2) * 16, (3.25 - 1) * 8, 4 * 16, 2 * 8]], rtol=1e-6)
    assert objects.labels.tolist() == [1]
    assert objects.scores.tolist() == pytest.approx([1 / (1 + np.exp(-2.0))])


def test_boxes_end_at_the_image_and_huge_sizes_stay_finite() -> None:
    centers, sizes, offsets = np.full((4, 4, 1), LOW), np.full((4, 4, 2), 500.0), np.full((4, 4, 2), 0.5)
    centers[1, 1] = 1.0
    objects = decode_centers(centers, sizes, offsets, (16, 16), (16, 16))
    assert objects.boxes.tolist() == [[0, 0, 16, 16]]


def test_equal_logits_side_by_side_are_one_object() -> None:
    centers, sizes, offsets = np.full((8, 8, 1), LOW), np.full((8, 8, 2), np.log(4)), np.zeros((8, 8, 2))
    centers[4, 3:5] = 1.0
    offsets[4, 3], offsets[4, 4] = [1.0, 0.5], [0.0, 0.5]
    objects = decode_centers(centers, sizes, offsets, (32, 32), (32, 32))
    np.testing.assert_allclose(objects.boxes, [[8, 10, 16, 16]], rtol=1e-6)
    centers[4, 4] = [0.5]
    offsets[4, 4] = [20.0, 0.5]  # no longer a peak
    assert len(decode_centers(centers, sizes, offsets, (32, 32), (32, 32))) == 1


def test_no_object() -> None:
    objects = decode_centers(np.full((4, 4, 2), LOW), np.zeros((4, 4, 2)), np.zeros((4, 4, 2)), (16, 16), (16, 16))
    assert (len(objects), objects.boxes.shape, objects.results(1, (3, 7))) == (0, (0, 4), [])


@pytest.mark.parametrize("min_score", [0.2, 0.5, 1.0])
def test_objects_of_a_higher_score_are_the_same(min_score: float) -> None:
    rng = np.random.default_rng(1)
    centers = np.round(rng.normal(-1, 2, (16, 20, 2))).astype(np.float32)  # equal logits, some of them 0: a score of exactly 0.5
    maps = centers, rng.uniform(0, 2, (16, 20, 2)), rng.uniform(0, 1, (16, 20, 2))
    every, best = decode_centers(*maps, (64, 80), (64, 80)), decode_centers(*maps, (64, 80), (64, 80), min_score=min_score)
    chosen = every.scores >= min_score
    assert chosen.sum() > 5 or min_score == 1
    np.testing.assert_array_equal(best.boxes, every.boxes[chosen])
    np.testing.assert_array_equal(best.labels, every.labels[chosen])
