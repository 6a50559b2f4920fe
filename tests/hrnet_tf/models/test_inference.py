"""Models are compiled once each: TensorFlow has nothing to warn of, however many of them a process runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.inference import Inference
from hrnet_tf.models.quantization import activation_ranges

SIZE = (8, 8)


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What TensorFlow's Python logs."""
    handler, logger = _Kept(), logging.getLogger("tensorflow")
    logger.addHandler(handler)
    yield handler.messages
    logger.removeHandler(handler)


def models(count: int) -> list[Any]:
    return [keras.Sequential([keras.layers.Conv2D(2, 3, input_shape=(*SIZE, 3))]) for _ in range(count)]


def test_many_models_in_one_process(warnings: list[str]) -> None:
    for model in models(8):
        inference = Inference(model, (*SIZE, 3))
        for count in (4, 1, 3):
            images = np.random.default_rng(count).normal(size=(count, *SIZE, 3)).astype(np.float32)
            np.testing.assert_allclose(inference(images), np.asarray(model(images)), atol=1e-5)
        ranges = activation_ranges(model, [[images], [images[:1]]])
        assert len(ranges) == len(model.layers)
    assert not [message for message in warnings if "retracing" in message]


def test_the_warning_would_be_seen(warnings: list[str]) -> None:
    for model in models(8):
        model.predict_on_batch(np.zeros((1, *SIZE, 3), np.float32))
    assert [message for message in warnings if "retracing" in message]
