"""Settings of detection; defaults are those of the official recipes (arXiv 1908.07919, mmdetection)."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from mobile_eval.options import option
from training.tasks.settings import (
    AUGMENTATION,
    LOSS,
    TaskSettings,
    check_choice,
    check_fractions,
    check_not_negative,
    check_positive,
)

FROZEN, UPDATED = NORMS = ("frozen", "updated")
MAX_PROPOSALS = 1000


@dataclass(frozen=True)
class DetectionSettings(TaskSettings):
    """Augmentation, how many anchors, proposals and boxes the two losses of Faster R-CNN sample, and the loss of centers."""

    min_scale: float = option(1.0, "Smallest random zoom; 1 fits the full image into the network's input.", panel=AUGMENTATION)
    max_scale: float = option(1.0, "Largest random zoom.", panel=AUGMENTATION)
    flip_probability: float = option(0.5, "Probability of a horizontal flip.", panel=AUGMENTATION)
    color_jitter: float = option(0.0, "Largest random change of contrast and brightness, as a fraction.", panel=AUGMENTATION)
    rpn_samples: int = option(
        256, "Number of anchors per image that the loss of the region proposal network samples.", panel=LOSS
    )
    train_proposals: int = option(1000, "Number of proposals per image from which the box head's boxes are sampled.", panel=LOSS)
    box_samples: int = option(512, "Number of boxes per image that the loss of the box head samples.", panel=LOSS)
    size_weight: float = option(1.0, "Weight of the sizes of boxes in the loss of find-* networks.", panel=LOSS)
    norm: str = option(
        FROZEN, "BatchNorm statistics while training: frozen, as in the official recipes, or updated.", panel=LOSS, choices=NORMS
    )

    def __post_init__(self) -> None:
        check_positive(self, "min_scale", "max_scale", "rpn_samples", "train_proposals", "box_samples")
        check_not_negative(self, "color_jitter", "size_weight")
        check_fractions(self, "flip_probability", "color_jitter")
        check_choice(self, "norm", NORMS)
        if self.min_scale > self.max_scale:
            raise HRNetError(f"`min_scale` must be at most `max_scale`, got {self.min_scale} and {self.max_scale}")
        if self.train_proposals > MAX_PROPOSALS:
            raise HRNetError(f"`train_proposals` must be at most {MAX_PROPOSALS}, got {self.train_proposals}")


@dataclass(frozen=True)
class DetectionLoss:
    """Carries the settings to the trainer model, which computes the losses."""

    settings: DetectionSettings
