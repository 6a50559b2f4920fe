"""Losses of heatmap regression."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.keras_module import keras, ops
from hrnet_tf.backend.types import Tensor


@keras.utils.register_keras_serializable("hrnet_tf")
class HeatmapMSE(keras.losses.Loss):  # type: ignore[misc]
    """Half the mean squared error of heatmaps (N, H, W, K), averaged over everything (official JointsMSELoss).

    Give the visibility of the joints as sample weights of shape (N, 1, 1, K).
    """

    def __init__(self, name: str = "heatmap_mse"):
        super().__init__(name=name)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return 0.5 * ops.square(y_true - ops.cast(y_pred, y_true.dtype))


@keras.utils.register_keras_serializable("hrnet_tf")
class HeatmapOHKM(HeatmapMSE):
    """`HeatmapMSE` of the hardest joints of each image (online hard keypoint mining, CPN, arXiv 1711.07319).

    As in the official JointsOHKMMSELoss, a joint's loss is weighted before the hardest are chosen, and joints that are not
    labelled count as 0 among them.

    Args:
        top: Number of joints per image that count.
        name: Name of the loss.
    """

    def __init__(self, top: int = 8, name: str = "heatmap_ohkm"):
        super().__init__(name=name)
        self.top = top

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "top": self.top}

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        joint_losses = ops.mean(self.call(y_true, y_pred), axis=(1, 2))
        if sample_weight is not None:
            joint_losses *= ops.cast(sample_weight, joint_losses.dtype)[:, 0, 0, :]
        return ops.mean(ops.top_k(joint_losses, min(self.top, joint_losses.shape[-1]))[0])


LOSSES = {"mse": HeatmapMSE, "ohkm": HeatmapOHKM}
