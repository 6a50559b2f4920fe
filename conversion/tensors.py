"""Tensors as TFLite runtimes describe them."""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

Interpreter: TypeAlias = Any


class TensorDetails(TypedDict):
    """A tensor as the runtimes describe it."""

    name: str
    index: int
    shape: NDArray[np.int32]
    dtype: type[np.generic]
    quantization: tuple[float, int]
