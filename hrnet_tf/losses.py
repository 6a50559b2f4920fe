"""The losses of the tasks, for `model.compile`; each is imported when it is first used.

Example:
    >>> import hrnet_tf as hr
    >>> hr.losses.HeatmapMSE().name
    'heatmap_mse'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.tasks.classification.losses import ClassCrossEntropy
    from training.tasks.pose.losses import HeatmapMSE, HeatmapOHKM
    from training.tasks.segmentation.losses import PixelCrossEntropy

__all__ = ["ClassCrossEntropy", "HeatmapMSE", "HeatmapOHKM", "PixelCrossEntropy"]

MODULES = {
    "ClassCrossEntropy": "training.tasks.classification.losses",
    "HeatmapMSE": "training.tasks.pose.losses",
    "HeatmapOHKM": "training.tasks.pose.losses",
    "PixelCrossEntropy": "training.tasks.segmentation.losses",
}


def __getattr__(name: str) -> object:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
