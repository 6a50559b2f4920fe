"""Settings of segmentation; defaults are those of the official recipes (arXiv 1908.07919)."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from mobile_eval.options import option
from training.tasks.settings import (
    AUGMENTATION,
    LOSS,
    ClassWeightSettings,
    check_choice,
    check_fractions,
    check_not_negative,
    check_positive,
)

LOSS_STRIDES = (1, 2, 4)


@dataclass(frozen=True)
class SegmentationSettings(ClassWeightSettings):
    """Augmentation and loss of segmentation."""

    min_scale: float = option(0.5, "Smallest random zoom; 1 fits the full image into the network's input.", panel=AUGMENTATION)
    max_scale: float = option(2.1, "Largest random zoom.", panel=AUGMENTATION)
    flip_probability: float = option(0.5, "Probability of a horizontal flip.", panel=AUGMENTATION)
    ohem_threshold: float = option(
        0.0, "Train on pixels whose true class is less probable than this, such as 0.9; 0: on all.", panel=LOSS
    )
    ohem_min_kept: int = option(131072, "Minimum number of pixels in a batch that OHEM keeps, the hardest ones.", panel=LOSS)
    loss_stride: int = option(1, "The loss uses every pixel (1), or every 2nd or 4th row and column (faster).", panel=LOSS)

    def __post_init__(self) -> None:
        check_positive(self, "min_scale", "max_scale", "ohem_min_kept")
        check_not_negative(self, "ohem_threshold")
        check_fractions(self, "flip_probability", "ohem_threshold")
        check_choice(self, "loss_stride", LOSS_STRIDES)
        self.check_class_weights()
        if self.min_scale > self.max_scale:
            raise HRNetError(f"`min_scale` must be at most `max_scale`, got {self.min_scale} and {self.max_scale}")
