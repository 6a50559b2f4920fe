"""The training pipeline: examples in a `tf.data.Dataset`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras, tf
from training.data.examples import WORKERS, Example, Examples

logger = logging.getLogger(__name__)


def training_dataset(examples: Examples, epochs: range, own: range = range(1)) -> tf.data.Dataset:
    """Batches of images, targets and (where there are any) weights for all of `epochs` in turn; the last part batch is dropped.

    Of the batches that make a step, `own` alone, one after another: those of the devices that this process feeds.
    """
    shapes = examples.shapes
    cv2.setNumThreads(1)  # batches are made side by side already

    def batch(number: NDArray[np.int64]) -> Example:
        step, device = divmod(int(number), len(own))
        epoch, step = divmod(step, examples.steps)
        return examples.batch(epoch, step * examples.together + own[device])

    def load(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        tensors = tf.numpy_function(batch, [number], (tf.float32,) * len(shapes))
        return tuple(tf.ensure_shape(tensor, shape) for tensor, shape in zip(tensors, shapes, strict=True))

    numbers = tf.data.Dataset.range(*(epoch * examples.steps * len(own) for epoch in (epochs.start, epochs.stop)))
    return numbers.map(load, num_parallel_calls=WORKERS).prefetch(2)


class PipelineEpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
    """Says after each epoch how many items were skipped, their image being unreadable, and notes what the cache holds."""

    def __init__(self, examples: Examples):
        super().__init__()
        self.examples = examples

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        line = self.examples.unreadable.report(epoch)
        if self.examples.cache:
            self.examples.cache.save()
        if line:
            logger.warning(line)


@contextlib.contextmanager
def reraised_data_errors(examples: Examples) -> Iterator[None]:
    """Where too many images cannot be read, say so, instead of what TensorFlow makes of it."""
    try:
        yield
    except Exception:
        examples.unreadable.check()
        raise
