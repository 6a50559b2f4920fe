"""Sizes of networks from the names and shapes of the entries of a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hrnet_tf.checkpoints.torch_reader import Arrays
from mobile_eval.errors import HRNetError

MAX_COUNT = 1024  # blocks or modules in sequence; no network has as many


def count(arrays: Iterable[str], pattern: str) -> int:
    """Return one more than the largest index that `pattern` matches at the start of a name, 0 if it matches none.

    Raises:
        HRNetError: If the index is too large for any network.
    """
    matches = (re.match(pattern, name) for name in arrays)
    number = max((int(match[1]) + 1 for match in matches if match), default=0)
    if number > MAX_COUNT:
        raise HRNetError(f"the checkpoint is of an unknown network: indices up to {number - 1} match {pattern}")
    return number


def rows(arrays: Arrays, name: str) -> int:
    """Return the number of rows of an entry.

    Raises:
        HRNetError: If there is no such entry, or it is a single number.
    """
    if name not in arrays:
        raise HRNetError(f"the checkpoint is of an unknown network: it has no {name}")
    if not arrays[name].ndim:
        raise HRNetError(f"{name} must be an array, got a single number")
    return int(arrays[name].shape[0])
