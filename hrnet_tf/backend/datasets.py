"""The inputs of any data set that `fit` takes, without its targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError

# A tf.data.Dataset, a Sequence or PyDataset, arrays x or (x, y[, sample_weight]), or batches of any of these
InputData: TypeAlias = Any


def input_batches(data: InputData, shape: tuple[int, ...], parameter: str) -> Iterator[NDArray[np.generic]]:
    """Yield the inputs of a data set in its batches; targets and sample weights are ignored.

    Args:
        data: A `tf.data.Dataset`; a `Sequence` or `PyDataset`; an array of inputs (N, *shape), also in a tuple with targets; or
            an iterable of batches (N, *shape), of such tuples, or of single inputs.
        shape: Shape of one input.
        parameter: Name of the parameter that `data` was passed by, for messages.

    Yields:
        Batches (N, *shape), in their own dtype.

    Raises:
        HRNetError: There are no inputs, they have another shape, or they hold NaN.

    Example:
        >>> data = np.zeros((5, 4, 4, 3)), np.zeros((5, 2))
        >>> [batch.shape for batch in input_batches(data, (4, 4, 3), "data")]
        [(5, 4, 4, 3)]
    """
    empty = True
    for element in _elements(data, parameter):
        batch = _batch(element, shape, parameter)
        if len(batch):
            empty = False
            yield batch
    if empty:
        raise HRNetError(f"`{parameter}` must have at least one input, got none")


def inputs_head(data: InputData, shape: tuple[int, ...], parameter: str, count: int) -> list[NDArray[np.generic]]:
    """Return the first `count` inputs (*shape) of a data set, or all if there are fewer; see `input_batches`."""
    inputs: list[NDArray[np.generic]] = []
    for batch in input_batches(data, shape, parameter):
        inputs.extend(batch[: count - len(inputs)])
        if len(inputs) == count:
            break
    return inputs


def _elements(data: InputData, parameter: str) -> Iterator[Any]:
    """The batches of a data set, or its only array."""
    if isinstance(data, tuple):
        data = data[0] if data else ()
    if hasattr(data, "shape"):
        yield data
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, str | bytes | Mapping):
        yield from (data[index] for index in range(len(data)))
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes | Mapping):
        yield from data
    else:
        raise HRNetError(f"`{parameter}` must be a data set that `fit` takes, arrays or batches, got {type(data).__name__}")


def _batch(element: Any, shape: tuple[int, ...], parameter: str) -> NDArray[np.generic]:
    """The inputs of an element as a batch (N, *shape)."""
    x = element[0] if isinstance(element, tuple | list) and element else element
    if isinstance(x, Mapping) and len(x) == 1:
        [x] = x.values()
    try:
        batch = np.asarray(x)
    except ValueError:  # lists of unequal lengths
        batch = np.empty((), object)
    if batch.ndim == len(shape):
        batch = batch[None]
    if batch.shape[1:] != shape or batch.dtype.kind not in "fiub":
        kind = f"{type(x).__name__} of shape {batch.shape}" if batch.dtype.kind in "fiub" else type(x).__name__
        raise HRNetError(f"`{parameter}` must have inputs of shape (N, {', '.join(map(str, shape))}), got {kind}")
    if batch.dtype.kind == "f" and not np.isfinite(batch).all():
        raise HRNetError(f"`{parameter}` holds NaN or infinity")
    return batch
