"""Heatmaps with a known peak."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def gaussian(x: float, y: float, height: int = 64, width: int = 48, sigma: float = 2.0, peak: float = 0.9) -> NDArray[np.float32]:
    """A heatmap (1, H, W, 1)."""
    rows, columns = np.mgrid[:height, :width]
    return (peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)))[None, ..., None].astype(np.float32)
