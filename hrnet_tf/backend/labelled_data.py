"""Examples with their targets, out of any data set that `fit` takes, as numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.types import Arrays, Dataset
from mobile_eval.errors import HRNetError

SLICE = 32  # examples at a time of data that are arrays
NUMBERS = "fiub"  # kinds of numpy's dtypes
EXPECTED = "a tf.data.Dataset, a Sequence or PyDataset, or arrays (x, y) or (x, y, sample_weight)"


class Labelled(NamedTuple):
    """Examples with targets.

    Attributes:
        inputs: Inputs (N, ...) of the model: an array, or several in a list, tuple or dictionary.
        targets: Targets (N, ...), likewise.
        weights: Sample weights (N, ...), likewise; None if there are none. A dictionary may lack outputs.
    """

    inputs: Arrays
    targets: Arrays
    weights: Arrays | None

    @property
    def items(self) -> int:
        """The number of examples."""
        return len(leaves(self.inputs)[0])

    def map(self, function: Callable[..., Any]) -> Labelled:
        """Return the examples with `function` applied to each array."""
        return Labelled(*(map_arrays(function, part) for part in self))

    @property
    def present(self) -> tuple[Arrays, ...]:
        """Inputs, targets, and weights if there are any, as `fit` takes them."""
        return self[:2] if self.weights is None else tuple(self)


def map_arrays(function: Callable[..., Any], first: Arrays, *others: Arrays) -> Arrays:
    """Apply a function to each array of a structure, together with the arrays in the same place of other structures.

    Args:
        function: Called with an array of each structure.
        first: An array, or arrays in lists, tuples and dictionaries. None stays None.
        others: Structures like the first one.

    Example:
        >>> map_arrays(lambda a, b: a + b, {"x": [1, None]}, {"x": [2, None]})
        {'x': [3, None]}
    """
    if isinstance(first, Mapping):
        return {name: map_arrays(function, value, *(other[name] for other in others)) for name, value in first.items()}
    if isinstance(first, list | tuple):
        parts = [map_arrays(function, *values) for values in zip(first, *others, strict=True)]
        return parts if isinstance(first, list) else tuple(parts)
    return None if first is None else function(first, *others)


def leaves(structure: Arrays) -> list[Any]:
    """Return the arrays of a structure from left to right, without None."""
    arrays: list[Any] = []
    map_arrays(arrays.append, structure)
    return arrays


def first_examples(data: Dataset, limit: int, budget_bytes: int, parameter: str) -> Labelled:
    """Return the first examples of a data set.

    Args:
        data: Any data set that `fit` takes.
        limit: The largest number of examples.
        budget_bytes: The largest size of all arrays together in bytes.
        parameter: Name of the parameter that `data` was passed by, for messages.

    Raises:
        HRNetError: The data are of another kind, are empty, have no targets, or differ in shape; or one example is larger than
            `budget_bytes`.

    Example:
        >>> first_examples((np.zeros((9, 4, 4, 3)), np.arange(9)), 5, 2**20, "data").targets
        array([0, 1, 2, 3, 4])
    """
    examples, count, most = None, 0, 0
    for batch in labelled_batches(data, parameter):
        if examples is None:
            examples, most = _room(batch, limit, budget_bytes)
        taken = min(batch.items, most - count)
        _fill(examples, batch, count, taken, parameter)
        count += taken
        if count == most:
            break
    if examples is None:
        raise HRNetError(f"`{parameter}` must have examples, got an empty data set")
    return examples.map(lambda array: array[:count])


def _room(batch: Labelled, limit: int, budget_bytes: int) -> tuple[Labelled, int]:
    """Return room for as many examples as fit into the budget, like those of a batch, and their number."""
    size = sum(array[0].nbytes for part in batch for array in leaves(part))
    most = min(limit, budget_bytes // max(size, 1))
    if not most:
        raise HRNetError(f"`memory_budget` must be at least {size} bytes, the size of an example, got {budget_bytes}")
    return batch.map(lambda array: np.empty((most, *array.shape[1:]), array.dtype)), most


def _fill(examples: Labelled, batch: Labelled, start: int, count: int, parameter: str) -> None:
    """Copy the first `count` examples of a batch to the place `start`."""

    def copy(place: NDArray[np.generic], array: NDArray[np.generic]) -> None:
        if place.shape[1:] != array.shape[1:]:
            raise HRNetError(f"`{parameter}` must have examples of one shape, got {place.shape[1:]} and {array.shape[1:]}")
        place[start : start + count] = array[:count]

    for part, arrays in zip(examples, batch, strict=True):
        try:
            map_arrays(copy, part, arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise HRNetError(f"`{parameter}` must have batches of the same arrays: {error}") from error


def labelled_batches(data: Dataset, parameter: str) -> Iterator[Labelled]:
    """Yield a data set in its batches, as numpy arrays, without empty batches.

    Args:
        data: Any data set that `fit` takes.
        parameter: Name of the parameter that `data` was passed by, for messages.

    Raises:
        HRNetError: The data are of another kind, have no targets or other values than numbers, or arrays of different lengths.
    """
    for element in _elements(data, parameter):
        if not isinstance(element, list | tuple) or len(element) not in (2, 3):
            raise HRNetError(f"`{parameter}` must have inputs and targets: batches (x, y) or (x, y, sample_weight)")
        inputs, targets, weights = (map_arrays(lambda value: _as_array(value, parameter), part) for part in [*element, None][:3])
        if not leaves(inputs) or not leaves(targets):
            raise HRNetError(f"`{parameter}` must have inputs and targets, got None")
        _check_lengths((inputs, targets, weights), parameter)
        batch = Labelled(inputs, targets, _without_none(weights, parameter))
        if batch.items:
            yield batch


def _elements(data: Dataset, parameter: str) -> Iterator[Any]:
    """The batches of a data set."""
    if isinstance(data, tuple):
        arrays = map_arrays(lambda value: _as_array(value, parameter), data)
        _check_lengths(arrays, parameter)
        for start in range(0, max(map(len, leaves(arrays)), default=0), SLICE):
            yield map_arrays(lambda array, start=start: array[start : start + SLICE], arrays)
    elif isinstance(data, str | bytes | Mapping) or hasattr(data, "shape"):
        raise HRNetError(f"`{parameter}` must be {EXPECTED}; got {type(data).__name__}")
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        yield from (data[index] for index in range(len(data)))
    elif isinstance(data, Iterable):
        yield from data
    else:
        raise HRNetError(f"`{parameter}` must be {EXPECTED}; got {type(data).__name__}")


def _check_lengths(arrays: Arrays, parameter: str) -> None:
    lengths = sorted({len(array) for array in leaves(arrays)})
    if len(lengths) > 1:
        raise HRNetError(
            f"`{parameter}` must have as many targets and sample weights as inputs, in batches; got arrays of {lengths} examples"
        )


def _as_array(value: Any, parameter: str) -> NDArray[np.generic]:
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        array = np.empty((), object)
    if array.dtype.kind not in NUMBERS or not array.ndim:
        raise HRNetError(f"`{parameter}` must have batches of numbers, got {type(value).__name__} of shape {array.shape}")
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _without_none(weights: Arrays, parameter: str) -> Arrays:
    """Sample weights without the outputs that have none."""
    if isinstance(weights, Mapping):
        return {name: value for name, value in weights.items() if value is not None} or None
    if isinstance(weights, list | tuple) and any(part is None for part in weights):
        raise HRNetError(f"`{parameter}` must have its sample weights in a dictionary by output if some outputs have none")
    return weights
