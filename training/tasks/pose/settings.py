"""What can be set of a pose training, and of any other by heatmaps of keypoints; by default the official pose recipe's."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from training.tasks.setting import check_choice, check_not_negative, check_positive, check_shares, setting

TARGETS = ("official", "dark", "udp")
LOSSES = ("mse", "ohkm")
FLIP_PAIRS = "Keypoints that change places when mirrored: auto (by name), as nose_a:nose_b,2:5 besides (from 0), or none."


@dataclass(frozen=True)
class Settings:
    """Targets, loss and augmentation."""

    targets: str = setting("dark", "Heatmaps: official (rounded), dark (exact), or udp (exact, crops too).")
    sigma: float = setting(2.0, "Gaussian targets' standard deviation, in heatmap pixels.")
    loss: str = setting("mse", "mse, or ohkm: of each image's 8 worst joints.")
    half_body_probability: float = setting(0.0, "Chance of only a half of the body.")
    scale: float = setting(0.35, "Random zoom, standard deviation.")
    rotation: float = setting(45.0, "Random rotation, standard deviation in degrees.")
    rotation_probability: float = setting(0.6, "Chance to be rotated.")
    flip_probability: float = setting(0.5, "Chance to be mirrored.")
    flip_pairs: str = setting("auto", FLIP_PAIRS)

    def __post_init__(self) -> None:
        check_choice(self, "targets", TARGETS)
        check_choice(self, "loss", LOSSES)
        check_positive(self, "sigma")
        check_not_negative(self, "rotation")
        check_shares(self, "half_body_probability", "rotation_probability", "flip_probability")
        if not 0 <= self.scale < 1:
            raise HRNetError(f"scale must be at least 0 and below 1, got {self.scale}")
