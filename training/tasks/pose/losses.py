"""The losses of heatmap regression."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.keras_module import keras, ops


@keras.utils.register_keras_serializable("hrnet_tf")
class HeatmapMSE(keras.losses.Loss):  # type: ignore[misc]
    """Half the mean squared error of heatmaps (N, H, W, K), averaged over everything (official JointsMSELoss).

    Give the joints' visibility as sample weights of shape (N, 1, 1, K).
    """

    def __init__(self, name: str = "heatmap_mse"):
        super().__init__(name=name)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return 0.5 * ops.square(y_true - ops.cast(y_pred, y_true.dtype))


@keras.utils.register_keras_serializable("hrnet_tf")
class HeatmapOHKM(HeatmapMSE):
    """`HeatmapMSE` of each image's `top` worst joints only (online hard keypoint mining, CPN, arXiv 1711.07319).

    As official JointsOHKMMSELoss: a joint's loss is weighted before the worst are chosen, and joints that are not labelled
    count as 0 among them.
    """

    def __init__(self, top: int = 8, name: str = "heatmap_ohkm"):
        super().__init__(name=name)
        self.top = top

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "top": self.top}

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        joints = ops.mean(self.call(y_true, y_pred), axis=(1, 2))
        if sample_weight is not None:
            joints *= ops.cast(sample_weight, joints.dtype)[:, 0, 0, :]
        return ops.mean(ops.top_k(joints, min(self.top, joints.shape[-1]))[0])


LOSSES = {"mse": HeatmapMSE, "ohkm": HeatmapOHKM}
