"""What can be set of a landmark training; by default the official facial landmark recipes'."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from training.tasks.pose.settings import FLIP_PAIRS, LOSSES, TARGETS
from training.tasks.setting import check_choice, check_not_negative, check_positive, check_shares, setting


@dataclass(frozen=True)
class Settings:
    """Targets, loss and augmentation. Zoom and rotation are uniform here, where those of pose are normal."""

    targets: str = setting("dark", "Heatmaps: official (rounded), dark (exact), or udp (exact, crops too).")
    sigma: float = setting(1.5, "Gaussian targets' standard deviation, in heatmap pixels.")
    loss: str = setting("mse", "mse, or ohkm: of each image's 8 worst landmarks.")
    scale: float = setting(0.25, "Random zoom, at most.")
    rotation: float = setting(30.0, "Random rotation, at most, in degrees.")
    rotation_probability: float = setting(0.6, "Chance to be rotated.")
    flip_probability: float = setting(0.5, "Chance to be mirrored.")
    flip_pairs: str = setting("auto", FLIP_PAIRS)

    def __post_init__(self) -> None:
        check_choice(self, "targets", TARGETS)
        check_choice(self, "loss", LOSSES)
        check_positive(self, "sigma")
        check_not_negative(self, "rotation")
        check_shares(self, "rotation_probability", "flip_probability")
        if not 0 <= self.scale < 1:
            raise HRNetError(f"scale must be at least 0 and below 1, got {self.scale}")
