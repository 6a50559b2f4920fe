"""NME, failure rate and AUC, computed by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.metrics.distance import box_sizes, normalized_distances
from mobile_eval.metrics.nme import nme


def test_by_hand() -> None:
    distances = np.array([[0.02, 0.04], [0.10, 0.14], [0.06, np.nan], [np.nan, np.nan]])
    result = nme(distances)  # errors 0.03, 0.12 and 0.06; the fourth has no labels
    assert result.faces_counted == 3
    assert result.nme == pytest.approx(0.07)
    assert result.failure_rate == pytest.approx(1 / 3)
    assert result.auc == pytest.approx((0.07 + 0 + 0.04) / 3 / 0.1)
    assert result.per_landmark == pytest.approx((0.06, 0.09))
    assert nme(distances, 0.05).failure_rate == pytest.approx(2 / 3)
    assert nme(distances, 0.05).auc == pytest.approx(0.02 / 3 / 0.05)
    assert str(result) == "NME 0.0700  FR@0.1 0.3333  AUC@0.1 0.3667 over 3 faces"
    assert json.loads(json.dumps(result.to_json(["a", "b"]), allow_nan=False))["per_landmark"]["a"] == pytest.approx(0.06)


def test_auc_equals_a_finely_sampled_curve() -> None:
    errors = np.random.default_rng(0).gamma(3, 0.02, 500)
    steps = np.linspace(0, 0.1, 10_001)
    curve = (errors[:, None] <= steps).mean(axis=0)
    assert nme(errors[:, None]).auc == pytest.approx(curve.mean(), abs=1e-3)


def test_an_error_at_the_threshold_is_not_a_failure() -> None:
    assert nme(np.array([[0.1], [0.1 + 1e-9]])).failure_rate == 0.5


def test_distances_in_box_sizes() -> None:
    truth = np.array([[[10, 10, 2], [20, 10, 2]]], float)
    assert box_sizes([(5, 5, 90, 40)]).tolist() == [60]
    predicted = truth[..., :2] + [[3, 4], [0, 6]]
    np.testing.assert_allclose(normalized_distances(predicted, truth, box_sizes([(5, 5, 90, 40)])), [[5 / 60, 0.1]])


def test_without_labels_scores_are_null() -> None:
    assert nme(np.full((2, 3), np.nan)).to_json("abc")["nme"] is None
    with pytest.raises(HRNetError, match="got 0"):
        nme(np.zeros((1, 1)), 0)
