"""A Keras model run on one batch after another, without training it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf._keras import BACKEND, tf


class Inference:
    """What `model` answers for images (N, H, W, 3) of `input_size`: an array (N, ...), or several by name.

    It is compiled once, for batches of any size, when it is first called: `model.predict_on_batch` compiles anew for every size,
    and counts that for all models of a process together. Weights that change later are seen.
    """

    def __init__(self, model: Any, input_size: tuple[int, int]):
        self.model = model
        self.input_size = input_size
        self._function: Any = None
        self._largest = 0

    def __call__(self, images: NDArray[np.float32]) -> Any:
        if BACKEND != "tensorflow":
            return self._padded(images)
        if self._function is None:
            source = tf.TensorSpec((None, *self.input_size, 3), tf.float32)
            self._function = tf.function(lambda batch: self.model(batch, training=False)).get_concrete_function(source)
        return as_arrays(self._function(tf.constant(images)))

    def _padded(self, images: NDArray[np.float32]) -> Any:
        """Batches of one size: JAX compiles for each."""
        self._largest = max(self._largest, len(images))
        answers = self.model.predict_on_batch(np.resize(images, (self._largest, *images.shape[1:])))
        if isinstance(answers, dict):
            return {name: array[: len(images)] for name, array in answers.items()}
        return answers[: len(images)]


def as_arrays(answers: Any) -> Any:
    """A model's answers as numpy arrays: one, or several by name."""
    if isinstance(answers, dict):
        return {name: np.asarray(value) for name, value in answers.items()}
    return np.asarray(answers)
