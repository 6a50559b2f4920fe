"""Inputs of everything that `fit` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.datasets import input_batches, inputs_head
from hrnet_tf.backend.keras_module import keras, tf
from mobile_eval.errors import HRNetError

SHAPE = (4, 6, 3)
INPUTS = np.random.default_rng(0).random((5, *SHAPE)).astype(np.float32)
TARGETS = np.zeros((5, 2), np.float32)


class Batches(keras.utils.Sequence):  # type: ignore[misc]
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return INPUTS[3 * index : 3 * index + 3], TARGETS[3 * index : 3 * index + 3]


def dataset(*tensors: Any) -> Any:
    return tf.data.Dataset.from_tensor_slices(tensors[0] if len(tensors) == 1 else tensors)


DATA: dict[str, Callable[[], Any]] = {
    "array": lambda: INPUTS,
    "arrays": lambda: (INPUTS, TARGETS, TARGETS[:, 0]),
    "list of images": lambda: list(INPUTS),
    "generator of batches": lambda: (INPUTS[start : start + 2] for start in (0, 2, 4)),
    "generator of tuples": lambda: ((INPUTS[start : start + 2], TARGETS) for start in (0, 2, 4)),
    "Sequence": Batches,
    "Dataset": lambda: dataset(INPUTS).batch(2),
    "Dataset with targets": lambda: dataset(INPUTS, {"maps": TARGETS}, TARGETS).batch(3),
    "endless Dataset of named inputs": lambda: dataset({"image": INPUTS}, TARGETS).repeat().batch(4),
    "tensor": lambda: tf.constant(INPUTS),
}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_inputs_without_their_targets(data: Callable[[], Any]) -> None:
    np.testing.assert_array_equal(inputs_head(data(), SHAPE, "data", 5), INPUTS)
    np.testing.assert_array_equal(inputs_head(data(), SHAPE, "data", 2), INPUTS[:2])


@pytest.mark.parametrize(
    "data", [(), [], "text", {"a": INPUTS}, 3, None, INPUTS[..., :2], [object()], [[1, [2]]], np.full((1, *SHAPE), np.inf)]
)
def test_bad_data(data: object) -> None:
    with pytest.raises(HRNetError, match="`calibration`"):
        list(input_batches(data, SHAPE, "calibration"))
