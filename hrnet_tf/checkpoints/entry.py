"""An entry of a PyTorch checkpoint: which variable of this package it is, and how its array is transposed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.checkpoints.torch_reader import AnyArray
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.detection.constants import POOLED_SIZE

BATCH_NORM_PARTS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


@dataclass(frozen=True)
class Entry:
    """An array of a checkpoint.

    Attributes:
        name: Its official name.
        variable: Its name in this package.
        optional: Whether some code bases omit it (a bias).
        flattened: Whether it is a dense kernel on flattened maps, which are channels-first there and channels-last here.
        absent_rows: Number of rows of the background that are last here and missing there; they are zero.
        per_class: For the outputs of a detector, the number of rows per class; the background is first there and last here.
    """

    name: str
    variable: str
    optional: bool = False
    flattened: bool = False
    per_class: int = 0
    absent_rows: int = 0

    @property
    def depthwise(self) -> bool:
        """Whether it is the kernel of a depthwise convolution."""
        return self.variable.endswith("/depthwise_kernel")


def to_variable(entry: Entry, array: AnyArray) -> AnyArray:
    """Transpose an array from PyTorch's order of axes to Keras's.

    Kernels of convolutions go from (O, I, H, W) to (H, W, I, O), of transposed ones from (I, O, H, W) to (H, W, O, I), of
    depthwise ones from (C, 1, H, W) to (H, W, C, 1), and of dense layers from (O, I) to (I, O).
    """
    array = np.roll(array, -entry.per_class, axis=0) if entry.per_class else array
    if entry.absent_rows:
        array = np.concatenate([array, np.zeros((entry.absent_rows, *array.shape[1:]), array.dtype)])
    if entry.depthwise:
        return array.transpose(2, 3, 0, 1)
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    if entry.flattened:
        size = POOLED_SIZE
        return array.reshape(len(array), -1, size, size).transpose(2, 3, 1, 0).reshape(-1, len(array))
    return array.T


def from_variable(entry: Entry, array: AnyArray) -> AnyArray:
    """Transpose an array from Keras's order of axes to PyTorch's, the inverse of `to_variable`."""
    if array.ndim == 4:
        return array.transpose((2, 3, 0, 1) if entry.depthwise else (3, 2, 0, 1))
    if entry.flattened:
        size = POOLED_SIZE
        return array.reshape(size, size, -1, array.shape[1]).transpose(3, 2, 0, 1).reshape(array.shape[1], -1)
    rows = np.roll(array.T, entry.per_class, axis=0) if entry.per_class else array.T
    return rows[: len(rows) - entry.absent_rows]


def official_shape(entry: Entry, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape in PyTorch's order of axes of a variable's shape."""
    if len(shape) == 4:
        height, width, *channels = shape
        return (*(channels if entry.depthwise else reversed(channels)), height, width)
    rows, *columns = reversed(shape)
    return rows - entry.absent_rows, *columns


def norm_entries(official: str, variable: str) -> Iterator[Entry]:
    """Yield the entries of a BatchNorm layer."""
    for part, keras_name in BATCH_NORM_PARTS.items():
        yield Entry(f"{official}.{part}", f"{variable}/{keras_name}")


def converted(entry: Entry, array: AnyArray, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the value of a variable of that shape.

    Raises:
        HRNetError: If the array of the entry has another shape, or is not of numbers.
    """
    expected = official_shape(entry, shape)
    if tuple(array.shape) != expected:
        raise HRNetError(f"{entry.name} has shape {tuple(array.shape)}, expected {expected}")
    if array.dtype.kind not in "fiu":
        raise HRNetError(f"{entry.name} has dtype {array.dtype}, expected numbers")
    return np.ascontiguousarray(to_variable(entry, array.astype(np.float32)))
