"""The loss of segmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hrnet_tf.backend.keras_module import keras, ops
from hrnet_tf.backend.types import Tensor
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.confusion import IGNORED


@keras.utils.register_keras_serializable("hrnet_tf")
class PixelCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Mean cross-entropy of the pixels of class indices (N, H, W) and logits (N, h, w, classes).

    Logits are resized bilinearly to the targets. Pixels of index 255 are ignored.

    Args:
        class_weights: Weight of each class (classes,); the mean is then weighted by them.
        ohem_threshold: Online hard example mining (official OhemCrossEntropy): only pixels count whose true class is less
            probable than this; 0: all pixels.
        ohem_min_kept: Minimum number of pixels in a batch that count, the hardest ones.
    """

    def __init__(self, class_weights: Sequence[float] = (), ohem_threshold: float = 0.0, ohem_min_kept: int = 131072):
        super().__init__(name="pixel_cross_entropy")
        self.class_weights = tuple(class_weights)
        self.ohem_threshold = ohem_threshold
        self.ohem_min_kept = ohem_min_kept

    def get_config(self) -> dict[str, Any]:
        return {
            "class_weights": self.class_weights,
            "ohem_threshold": self.ohem_threshold,
            "ohem_min_kept": self.ohem_min_kept,
        }

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Tensor:
        loss = self.call(y_true, y_pred)
        return loss if sample_weight is None else loss * ops.mean(sample_weight)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        logits, size = ops.cast(y_pred, "float32"), tuple(y_true.shape[1:3])
        if tuple(logits.shape[1:3]) != size:
            logits = ops.image.resize(logits, size, interpolation="bilinear")
        counts = ops.cast(y_true, "int32") != IGNORED
        targets = ops.where(counts, ops.cast(y_true, "int32"), 0)
        losses = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        weights = ops.cast(counts, "float32")
        if self.ohem_threshold:
            weights *= ops.cast(losses > self._easy_loss(losses * weights), "float32")
        if self.class_weights:
            if len(self.class_weights) != logits.shape[-1]:
                raise HRNetError(f"`class_weights` has {len(self.class_weights)} numbers for {logits.shape[-1]} classes")
            weights *= ops.take(ops.convert_to_tensor(self.class_weights), targets)
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1e-6)

    def _easy_loss(self, losses: Tensor) -> Tensor:
        """Largest loss of a pixel that does not count."""
        flat = ops.reshape(losses, (-1,))
        kept = min(self.ohem_min_kept, math.prod(losses.shape[1:]) * (losses.shape[0] or 1))
        return ops.minimum(ops.top_k(flat, kept)[0][-1], -math.log(self.ohem_threshold))
