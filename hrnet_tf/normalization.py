"""BatchNorm that keeps the same statistics on every Keras."""

from __future__ import annotations

from typing import Any

from hrnet_tf._keras import NAME, keras, ops
from hrnet_tf.keras_choice import TF_KERAS


@keras.utils.register_keras_serializable("hrnet_tf")
class UnbiasedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras 3's BatchNorm with the moving variance of tf_keras (its fused kernel) and PyTorch: of n values, times n / (n - 1)."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        kept = self.momentum * self.moving_variance  # now: afterwards there is another variance
        outputs = super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            count = ops.cast(ops.size(inputs) // inputs.shape[-1], self.moving_variance.dtype)
            added = self.moving_variance - kept
            self.moving_variance.assign(kept + added * count / ops.maximum(count - 1, 1))
        return outputs


BatchNormalization = keras.layers.BatchNormalization if NAME == TF_KERAS else UnbiasedBatchNormalization
