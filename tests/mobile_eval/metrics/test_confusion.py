"""Scores of small confusion matrices, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mobile_eval.metrics.confusion import (
    IGNORED,
    accuracy,
    class_table,
    confusion,
    mean_over_classes,
    per_class_iou,
    per_class_recall,
)

TRUTH = np.array([[0, 0, 0, 1], [1, 255, 255, 2]], np.uint8)
PREDICTED = np.array([[0, 0, 1, 1], [0, 0, 3, 0]], np.uint8)


def test_by_hand() -> None:
    counts = confusion(TRUTH, PREDICTED, 4, IGNORED)
    assert counts.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert accuracy(counts) == 3 / 6
    np.testing.assert_allclose(per_class_recall(counts), [2 / 3, 1 / 2, 0, np.nan])
    np.testing.assert_allclose(per_class_iou(counts), [2 / 5, 1 / 3, 0, np.nan])
    assert mean_over_classes(per_class_iou(counts)) == pytest.approx((2 / 5 + 1 / 3) / 3)
    doubled = counts + confusion(TRUTH, PREDICTED, 4, IGNORED)
    assert accuracy(doubled) == accuracy(counts)


def test_equals_a_loop_over_pixels() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, (9, 11)), rng.integers(0, 4, (9, 11))
    truth[rng.random(truth.shape) < 0.2] = IGNORED
    expected = np.zeros((4, 4), int)
    for row, column in np.ndindex(truth.shape):
        if truth[row, column] != IGNORED:
            expected[truth[row, column], predicted[row, column]] += 1
    counts = confusion(truth, predicted, 4, IGNORED)
    np.testing.assert_array_equal(counts, expected)
    labels, guesses = truth[truth != IGNORED], predicted[truth != IGNORED]
    ious = [np.sum((labels == label) & (guesses == label)) / np.sum((labels == label) | (guesses == label)) for label in range(4)]
    np.testing.assert_allclose(per_class_iou(counts), ious)


def test_a_class_that_never_occurs_has_an_iou_but_no_recall() -> None:
    counts = confusion(np.array([0, 0]), np.array([0, 1]), 2)
    np.testing.assert_allclose(per_class_iou(counts), [0.5, 0])
    np.testing.assert_allclose(per_class_recall(counts), [0.5, np.nan])


def test_scores_without_pixels_are_nan() -> None:
    counts = confusion(np.array([255]), np.array([0]), 2, IGNORED)
    assert np.isnan(accuracy(counts))
    assert np.isnan(mean_over_classes(per_class_recall(counts)))


def test_tables_of_many_classes_show_the_lowest() -> None:
    assert class_table(["sky", "car"], np.array([0.5, np.nan])) == [f"  {'sky':<20} 0.5000", f"  {'car':<20} -"]
    table = class_table([str(number) for number in range(100)], np.linspace(1, 0, 100))
    assert table[0] == "the lowest 20 of 100 classes:"
    assert len(table) == 21
    assert table[1] == f"  {'99':<20} 0.0000"
