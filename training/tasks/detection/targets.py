"""What a detector learns of an image as one array of fixed shape, (1 + objects, 5).

The first row holds a number that the losses' random choices are drawn by, so that they are those of the item and the epoch. The
others are boxes: corners x1, y1, x2, y2 in pixels of the input, and the class, NO_BOX in rows without one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
NO_BOX = -1
SEEDS = 2**20  # numbers of this size are exact in float32, and sums of a batch's too


def pack(boxes: NDArray[Any], labels: NDArray[Any], seed: int, out: Array) -> None:
    """Write boxes (N, 4) and labels (N,) into `out`."""
    out[:] = 0
    out[0, 0] = seed % SEEDS
    out[1:, 4] = NO_BOX
    out[1 : 1 + len(boxes), :4] = boxes
    out[1 : 1 + len(boxes), 4] = labels


def unpack(targets: Any) -> tuple[Any, Any]:
    """Boxes (..., N, 4) and labels (..., N) of targets, numpy's or TensorFlow's."""
    return targets[..., 1:, :4], targets[..., 1:, 4]


def seeds(targets: Any) -> Any:
    """The numbers (N,) to draw by of targets (N, 1 + objects, 5)."""
    return targets[:, 0, 0]
