"""The loss of heatmap regression."""

from __future__ import annotations

from typing import Any

from hrnet_tf._keras import keras, ops


class HeatmapMSE(keras.losses.Loss):  # type: ignore[misc]
    """Half the mean squared error of heatmaps (N, H, W, K), averaged over everything (official JointsMSELoss).

    Give the joints' visibility as sample weights of shape (N, 1, 1, K).
    """

    def __init__(self, name: str = "heatmap_mse"):
        super().__init__(name=name)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return 0.5 * ops.square(y_true - ops.cast(y_pred, y_true.dtype))
