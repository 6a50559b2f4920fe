"""The loss of classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrnet_tf.backend.keras_module import keras, ops
from hrnet_tf.backend.types import Tensor


@keras.utils.register_keras_serializable("hrnet_tf")
class ClassCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of labels (N, classes), which are distributions, and logits (N, classes), computed in float32.

    Args:
        label_smoothing: Fraction of each label that is spread over all classes (Szegedy et al., arXiv 1512.00567).
        class_weights: Weight of each class (classes,) in the labels.
    """

    def __init__(self, label_smoothing: float = 0.0, class_weights: Sequence[float] = ()):
        super().__init__(name="class_cross_entropy")
        self.label_smoothing = label_smoothing
        self.class_weights = tuple(class_weights)

    def get_config(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing, "class_weights": self.class_weights}

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        labels = ops.cast(y_true, "float32")
        labels = (1 - self.label_smoothing) * labels + self.label_smoothing / labels.shape[-1]
        if self.class_weights:
            labels *= ops.convert_to_tensor(self.class_weights, dtype="float32")
        return ops.categorical_crossentropy(labels, ops.cast(y_pred, "float32"), from_logits=True)
