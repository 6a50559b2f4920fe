"""Settings of classification; defaults are those of the official ImageNet recipe, with torchvision's augmentation."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from mobile_eval.options import option
from training.tasks.settings import AUGMENTATION, LOSS, ClassWeightSettings, check_fractions, check_not_negative, check_positive

MAX_MAGNITUDE = 30  # of RandAugment


@dataclass(frozen=True)
class ClassificationSettings(ClassWeightSettings):
    """Augmentation and loss of classification."""

    min_crop_area: float = option(0.08, "Smallest random crop, as a fraction of the image's area.", panel=AUGMENTATION)
    max_crop_aspect: float = option(4 / 3, "Largest random change of the aspect ratio, as a factor.", panel=AUGMENTATION)
    flip_probability: float = option(0.5, "Probability of a horizontal flip.", panel=AUGMENTATION)
    vertical_flip_probability: float = option(
        0.0, "Probability of a vertical flip, for images without an up and down.", panel=AUGMENTATION
    )
    randaugment: int = option(0, "Number of random operations on each image (RandAugment); 0: none.", panel=AUGMENTATION)
    randaugment_magnitude: float = option(9.0, "Magnitude of these operations, from 0 to 30.", panel=AUGMENTATION)
    mixup: float = option(0.0, "MixUp: parameter a of the Beta(a, a) that mixes image pairs; 0: none.", panel=AUGMENTATION)
    cutmix: float = option(0.0, "CutMix: parameter a of the Beta(a, a) that sizes the pasted part; 0: none.", panel=AUGMENTATION)
    label_smoothing: float = option(0.0, "Fraction of each label that is spread over all classes.", panel=LOSS)

    def __post_init__(self) -> None:
        check_positive(self, "min_crop_area")
        check_not_negative(self, "randaugment", "randaugment_magnitude", "mixup", "cutmix")
        check_fractions(self, "min_crop_area", "flip_probability", "vertical_flip_probability", "label_smoothing")
        self.check_class_weights()
        if self.max_crop_aspect < 1:
            raise HRNetError(f"`max_crop_aspect` must be at least 1, got {self.max_crop_aspect}")
        if self.randaugment_magnitude > MAX_MAGNITUDE:
            raise HRNetError(f"`randaugment_magnitude` must be at most {MAX_MAGNITUDE}, got {self.randaugment_magnitude}")
