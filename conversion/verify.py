"""Checks of a converted model before it leaves the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.runtime import TfliteModel


def max_difference(model: Any, path: Path, images: NDArray[np.float32]) -> float:
    """Largest absolute difference of heatmaps between the Keras model and the file, on normalized images (N, H, W, 3)."""
    return float(np.abs(TfliteModel(path).predict(images) - model.predict_on_batch(images)).max())


def check_fully_int8(interpreter: Any) -> None:
    """Raise ValueError, naming the tensor, unless no tensor of the graph is floating point."""
    for details in interpreter.get_tensor_details():
        if np.issubdtype(details["dtype"], np.floating):
            raise ValueError(
                f"the int8 graph holds a float tensor, {details['name']}: it would not run on an integer accelerator"
            )
