"""The loss of classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrnet_tf.backend.keras_module import keras, ops


@keras.utils.register_keras_serializable("hrnet_tf")
class ClassCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of labels (N, classes), distributions, and logits (N, classes), in float32 whatever the logits are in.

    `label_smoothing` is the share of each label that is spread over all classes (Szegedy et al., arXiv 1512.00567). With
    `class_weights` (classes,) each class's share of a label counts by its weight.
    """

    def __init__(self, label_smoothing: float = 0.0, class_weights: Sequence[float] = ()):
        super().__init__(name="class_cross_entropy")
        self.label_smoothing = label_smoothing
        self.class_weights = tuple(class_weights)

    def get_config(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing, "class_weights": self.class_weights}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels = ops.cast(y_true, "float32")
        labels = (1 - self.label_smoothing) * labels + self.label_smoothing / labels.shape[-1]
        if self.class_weights:
            labels *= ops.convert_to_tensor(self.class_weights, dtype="float32")
        return ops.categorical_crossentropy(labels, ops.cast(y_pred, "float32"), from_logits=True)
