"""Learning from a larger network's heatmaps as well as from the annotations.

The loss is (1 - a) w |p - y|^2 + a |p - t|^2 for prediction p, annotated heatmap y of joint weight w, and the
teacher's heatmap t (Zhang et al., Fast Human Pose Estimation, arXiv 1811.05419). Up to a constant that is the
plain loss against a blend of y and t. A joint that nobody labelled is learnt from the teacher alone.
"""

from __future__ import annotations

from typing import Any

from hrnet_tf._keras import keras, ops


class Distiller(keras.Model):  # type: ignore[misc]
    """Trains `student` in place with `model.fit`; `share` (a, 0..1) is the teacher's part of the loss.

    Compile it with a heatmap loss; sample weights are the joints' (N, 1, 1, K).
    """

    def __init__(self, student: Any, teacher: Any, share: float):
        super().__init__(name="distiller")
        self.student = student
        self.teacher = teacher
        self.teacher.trainable = False
        self.share = share

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.student(inputs, training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        annotated = (1 - self.share) * sample_weight
        weight = annotated + self.share
        taught = ops.cast(self.teacher(x, training=False), y.dtype)
        blend = (annotated * y + self.share * taught) / weight
        return super().compute_loss(x, blend, y_pred, weight)
