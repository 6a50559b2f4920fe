"""BatchNorm that keeps the same statistics on every Keras."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.choice import TF_KERAS
from hrnet_tf.backend.keras_module import BACKEND, NAME, keras, ops, tf

BATCH_NORM = {"epsilon": 1e-5, "momentum": 0.9}  # PyTorch counts momentum the other way round: 0.1


@keras.utils.register_keras_serializable("hrnet_tf")
class UnbiasedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """BatchNorm with the moving variance of tf_keras's fused kernel and of PyTorch: of n values, times n / (n - 1).

    Keras 3's has none of that, nor tf_keras's with statistics of several devices.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        kept = self.momentum * self.moving_variance  # now: afterwards there is another variance
        outputs = super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            count = ops.cast(_replicas() * (ops.size(inputs) // inputs.shape[-1]), self.moving_variance.dtype)
            added = self.moving_variance - kept
            self.moving_variance.assign(kept + added * count / ops.maximum(count - 1, 1))
        return outputs


def batch_normalization(name: str) -> Any:
    """BatchNorm; made where a strategy of several devices is active (tf.distribute), with the statistics of all together."""
    if _replicas() > 1:
        return UnbiasedBatchNormalization(**BATCH_NORM, synchronized=True, name=name)
    kind = keras.layers.BatchNormalization if NAME == TF_KERAS else UnbiasedBatchNormalization
    return kind(**BATCH_NORM, name=name)


def _replicas() -> int:
    return int(tf.distribute.get_strategy().num_replicas_in_sync) if BACKEND == "tensorflow" else 1
