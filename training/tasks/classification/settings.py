"""What can be set of a classification training; by default the official ImageNet recipe's (torchvision's augmentation)."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from training.tasks.setting import check_class_weights, check_not_negative, check_positive, check_shares, setting


@dataclass(frozen=True)
class Settings:
    """Augmentation and loss."""

    crop_smallest: float = setting(0.08, "Least share of the image's area that is looked at.")
    crop_ratio: float = setting(4 / 3, "Greatest distortion of its aspect.")
    flip_probability: float = setting(0.5, "Chance to be mirrored.")
    upside_down_probability: float = setting(0.0, "Chance to be turned upside down, where images have no up.")
    randaugment: int = setting(0, "Random operations on each image (RandAugment); 0 for none.")
    randaugment_magnitude: float = setting(9.0, "How strong they are, of 30.")
    mixup: float = setting(0.0, "Blend pairs of images (MixUp) by a share drawn from Beta(a, a); 0 for none.")
    cutmix: float = setting(0.0, "Paste a part of another image (CutMix), its share drawn from Beta(a, a); 0 for none.")
    label_smoothing: float = setting(0.0, "Share of each label that is spread over all classes.")
    class_weights: tuple[float, ...] = setting((), "Weight of each class in the loss, such as 0.8,1.2.")
    class_balance: bool = setting(False, "Weigh classes by how rare they are in the training data.")

    def __post_init__(self) -> None:
        check_positive(self, "crop_smallest")
        check_not_negative(self, "randaugment", "randaugment_magnitude", "mixup", "cutmix")
        check_shares(self, "crop_smallest", "flip_probability", "upside_down_probability", "label_smoothing")
        check_class_weights(self)
        if self.crop_ratio < 1:
            raise HRNetError(f"crop-ratio must be at least 1, got {self.crop_ratio}")
        if self.randaugment_magnitude > 30:
            raise HRNetError(f"randaugment-magnitude must be at most 30, got {self.randaugment_magnitude}")
