"""Learning from a larger network's answers as well as from the annotations.

The loss is (1 - a) l + a d for the task's loss l and the distance d of the network's answer to the teacher's: for heatmaps their
mean squared difference (Zhang et al., Fast Human Pose Estimation, arXiv 1811.05419), for classes the divergence of the
teacher's distribution (Hinton et al., arXiv 1503.02531). A joint that nobody labelled is learnt from the teacher alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hrnet_tf.backend.keras_module import ops
from training.optim.trainer_models import TrainerModel, LossOf


class DistillationModel(TrainerModel):
    """Trains `student` in place; `share` (a, 0..1) is the teacher's part of the loss, `own` is l, `distillation_loss` d."""

    def __init__(self, student: Any, teacher: Any, share: float, own: LossOf, distillation_loss: Callable[[Any, Any], Any]):
        super().__init__(student, name="distiller")
        self.teacher = teacher
        self.teacher.trainable = False
        self.share = share
        self.own = own
        self.distillation_loss = distillation_loss

    def outputs_loss(self, x: Any, y: Any, found: Any, weight: Any = None) -> Any:
        taught = self.distillation_loss(self.teacher(x, training=False), found)
        own = self.own(x, y, found, weight)
        return (1 - self.share) * own + self.share * ops.cast(taught, own.dtype)
