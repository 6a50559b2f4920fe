"""Errors of arrays that are compared in parts."""

from __future__ import annotations

import numpy as np
import pytest

from conversion.checks.parity import ErrorSums


def test_signal_to_noise() -> None:
    signal, noise = np.array([3.0, 4.0]), np.array([0.3, 0.4])
    exact, noisy = ErrorSums(), ErrorSums()
    exact.add(signal, signal)
    noisy.add(signal, signal + noise)
    assert exact.snr_db == float("inf")
    assert noisy.snr_db == pytest.approx(20)
    assert (noisy.largest, noisy.max_error) == (4.0, pytest.approx(0.4))


def test_errors_of_parts_add_up() -> None:
    random = np.random.default_rng(0)
    expected = random.normal(size=(7, 5, 3)).astype(np.float32)
    actual = expected + random.normal(0, 0.1, expected.shape).astype(np.float32)
    sums = ErrorSums()
    for part in (slice(0, 4), slice(4, 7)):
        sums.add(expected[part], actual[part])
    errors = expected.astype(np.float64) - actual
    assert sums.snr_db == pytest.approx(20 * np.log10(np.linalg.norm(expected) / np.linalg.norm(errors)), abs=1e-4)
    assert sums.max_error == pytest.approx(np.abs(expected - actual).max(), rel=1e-6)
    assert sums.absolute / sums.count == pytest.approx(np.abs(expected - actual).mean(), rel=1e-6)
    sums.add(np.full((1, 2), np.nan), np.zeros((1, 2)))
    assert np.isnan(sums.max_error)
