"""The training pipeline as a `tf.data.Dataset`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import tf
from hrnet_tf.backend.types import Tensor, TFDataset
from training.data.examples import Batch, Examples
from training.execution import DEFAULT_WORKERS


def training_dataset(examples: Examples, epochs: range, devices: range = range(1), workers: int = DEFAULT_WORKERS) -> TFDataset:
    """Return a dataset of the batches of several epochs in turn.

    Args:
        examples: The training examples.
        epochs: Indices of the epochs.
        devices: Indices of the devices of this process. Their batches of a step come one after another.
        workers: Number of threads that decode and augment images.

    Returns:
        Dataset of (images, targets) or (images, targets, sample weights); incomplete batches are dropped.
    """
    shapes = examples.shapes
    cv2.setNumThreads(1)  # batches are built in parallel already

    def batch(number: NDArray[np.int64]) -> Batch:
        step, device = divmod(int(number), len(devices))
        epoch, step = divmod(step, examples.steps)
        return examples.batch(epoch, step * examples.devices + devices[device])

    def load(number: Tensor) -> tuple[Tensor, ...]:
        tensors = tf.numpy_function(batch, [number], (tf.float32,) * len(shapes))
        return tuple(tf.ensure_shape(tensor, shape) for tensor, shape in zip(tensors, shapes, strict=True))

    numbers = tf.data.Dataset.range(*(epoch * examples.steps * len(devices) for epoch in (epochs.start, epochs.stop)))
    return numbers.map(load, num_parallel_calls=workers).prefetch(2)


@contextlib.contextmanager
def reraised_data_errors(examples: Examples) -> Iterator[None]:
    """Raise the HRNetError of a bad example instead of TensorFlow's error that hides it."""
    try:
        yield
    except Exception:
        examples.skipped.check()
        raise
