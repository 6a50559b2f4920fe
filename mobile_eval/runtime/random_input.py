"""Random input for any interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np

INPUT_SEED = 0


def feed_random(interpreter: Any) -> None:
    """Give every input of `interpreter` random values of its type: 8 and 16 bits over their whole range, floats normal.

    Wider integers are no pictures but places and counts, of which 0 is allowed.
    """
    random = np.random.default_rng(INPUT_SEED)
    for details in interpreter.get_input_details():
        shape, dtype = tuple(details["shape"]), np.dtype(details["dtype"])
        if np.issubdtype(dtype, np.integer) and dtype.itemsize > 2:
            values = np.zeros(shape, dtype)
        elif np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            values = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        else:
            values = random.standard_normal(shape).astype(dtype)
        interpreter.set_tensor(details["index"], values)
