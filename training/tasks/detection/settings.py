"""What can be set of a detection training; by default the official recipes' (arXiv 1908.07919, mmdetection)."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from training.tasks.setting import check_choice, check_not_negative, check_positive, check_shares, setting

FROZEN, UPDATED = NORMS = ("frozen", "updated")


@dataclass(frozen=True)
class Settings:
    """Augmentation, and what Faster R-CNN's two losses look at."""

    smallest: float = setting(1.0, "Least random zoom; 1 is the whole image at the network's input size.")
    largest: float = setting(1.0, "Greatest random zoom.")
    flip_probability: float = setting(0.5, "Chance to be mirrored.")
    light: float = setting(0.0, "Greatest random change of contrast and brightness, as a share.")
    anchors: int = setting(256, "Anchors of an image that the region proposal loss looks at.")
    train_proposals: int = setting(1000, "Proposals of an image among which the boxes to learn from are drawn.")
    boxes: int = setting(512, "Boxes of an image that the box head learns from.")
    norm: str = setting(FROZEN, "BatchNorm's statistics while training: frozen, as the official recipes, or updated.")

    def __post_init__(self) -> None:
        check_positive(self, "smallest", "largest", "anchors", "train_proposals", "boxes")
        check_not_negative(self, "light")
        check_shares(self, "flip_probability", "light")
        check_choice(self, "norm", NORMS)
        if self.smallest > self.largest:
            raise HRNetError(f"smallest must be at most largest, got {self.smallest} and {self.largest}")
        if self.train_proposals > 1000:
            raise HRNetError(f"train-proposals must be at most 1000, got {self.train_proposals}")
