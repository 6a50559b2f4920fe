"""The loss of classification."""

from __future__ import annotations

from typing import Any

from hrnet_tf._keras import keras, ops


class ClassCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of labels (N, classes), distributions, and logits (N, classes), in float32 whatever the logits are in.

    `label_smoothing` is the share of each label that is spread over all classes (Szegedy et al., arXiv 1512.00567).
    """

    def __init__(self, label_smoothing: float = 0.0):
        super().__init__(name="class_cross_entropy")
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = ops.cast(y_true, "float32")
        labels = (1 - self.label_smoothing) * labels + self.label_smoothing / labels.shape[-1]
        return ops.categorical_crossentropy(labels, ops.cast(y_pred, "float32"), from_logits=True)
