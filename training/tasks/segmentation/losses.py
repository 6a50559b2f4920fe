"""The loss of segmentation: cross-entropy of every pixel that counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hrnet_tf.backend.keras_module import keras, ops
from mobile_eval.errors import HRNetError
from mobile_eval.metrics.confusion import IGNORED


@keras.utils.register_keras_serializable("hrnet_tf")
class PixelCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Mean cross-entropy of class indices (N, H, W) and logits (N, h, w, classes), upsampled bilinearly to the targets' size.

    Pixels of index 255 are left out. With `class_weights` (classes,) it is the mean weighted by them. With `ohem_threshold` above 0 only
    pixels count whose true class has a probability below it, the hardest `ohem_min_kept` of the batch in any case (official
    OhemCrossEntropy).
    """

    def __init__(self, class_weights: Sequence[float] = (), ohem_threshold: float = 0.0, ohem_min_kept: int = 131072):
        super().__init__(name="pixel_cross_entropy")
        self.class_weights = tuple(class_weights)
        self.ohem_threshold = ohem_threshold
        self.ohem_min_kept = ohem_min_kept

    def get_config(self) -> dict[str, Any]:
        return {"class_weights": self.class_weights, "ohem_threshold": self.ohem_threshold, "ohem_min_kept": self.ohem_min_kept}

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        found = self.call(y_true, y_pred)
        return found if sample_weight is None else found * ops.mean(sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        logits, size = ops.cast(y_pred, "float32"), tuple(y_true.shape[1:3])
        if tuple(logits.shape[1:3]) != size:
            logits = ops.image.resize(logits, size, interpolation="bilinear")
        counts = ops.cast(y_true, "int32") != IGNORED
        targets = ops.where(counts, ops.cast(y_true, "int32"), 0)
        losses = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        weights = ops.cast(counts, "float32")
        if self.ohem_threshold:
            weights *= ops.cast(losses > self._easy(losses * weights), "float32")
        if self.class_weights:
            if len(self.class_weights) != logits.shape[-1]:
                raise HRNetError(f"{len(self.class_weights)} class weights for {logits.shape[-1]} classes")
            weights *= ops.take(ops.convert_to_tensor(self.class_weights), targets)
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1e-6)

    def _easy(self, losses: Any) -> Any:
        """The loss up to which a pixel is easy."""
        flat = ops.reshape(losses, (-1,))
        kept = min(self.ohem_min_kept, math.prod(losses.shape[1:]) * (losses.shape[0] or 1))
        return ops.minimum(ops.top_k(flat, kept)[0][-1], -math.log(self.ohem_threshold))
