"""A Keras model run on one batch after another, without training it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import BACKEND, tf


class Inference:
    """What `model` answers for inputs (N, ...) of which each is of `input_shape`: an array, or several by name.

    It is compiled once, for batches of any size, when it is first called: `model.predict_on_batch` compiles anew for every size,
    and counts that for all models of a process together. Weights that change later are seen. Of a model with an output for each
    layer, such as its mean, it also keeps no layer longer than it is read: called directly, Keras comes to the outputs last.
    """

    def __init__(self, model: Any, input_shape: tuple[int, ...]):
        self.model = model
        self.input_shape = input_shape
        self._function: Any = None
        self._largest = 0

    def __call__(self, inputs: NDArray[np.float32]) -> Any:
        if BACKEND != "tensorflow":
            return self._padded(inputs)
        if self._function is None:
            source = tf.TensorSpec((None, *self.input_shape), tf.float32)
            self._function = tf.function(lambda batch: self.model(batch, training=False)).get_concrete_function(source)
        return as_arrays(self._function(tf.constant(inputs)))

    def _padded(self, inputs: NDArray[np.float32]) -> Any:
        """Batches of one size: JAX compiles for each."""
        self._largest = max(self._largest, len(inputs))
        answers = self.model.predict_on_batch(np.resize(inputs, (self._largest, *inputs.shape[1:])))
        if isinstance(answers, dict):
            return {name: array[: len(inputs)] for name, array in answers.items()}
        return answers[: len(inputs)]


def as_arrays(answers: Any) -> Any:
    """A model's answers as numpy arrays: one, or several by name."""
    if isinstance(answers, dict):
        return {name: np.asarray(value) for name, value in answers.items()}
    return np.asarray(answers)
