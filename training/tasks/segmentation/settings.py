"""What can be set of a segmentation training; by default the official recipes' (arXiv 1908.07919)."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from training.tasks.setting import check_class_weights, check_not_negative, check_positive, check_shares, setting

STRIDES = (1, 2, 4)


@dataclass(frozen=True)
class Settings:
    """Augmentation and loss."""

    smallest: float = setting(0.5, "Least random zoom; 1 is the whole image at the network's input size.")
    largest: float = setting(2.1, "Greatest random zoom.")
    flip_probability: float = setting(0.5, "Chance to be mirrored.")
    class_weights: tuple[float, ...] = setting((), "Weight of each class in the loss, such as 0.8,1.2.")
    class_balance: bool = setting(False, "Weigh classes by how rare they are in the training data.")
    ohem: float = setting(0.0, "Learn only where the true class is less likely than this, such as 0.9 (0: everywhere).")
    ohem_kept: int = setting(131072, "But from as many pixels of a batch at least, the hardest.")
    loss_stride: int = setting(1, "The loss looks at every pixel (1), or at every 2nd or 4th of each row and column: faster.")

    def __post_init__(self) -> None:
        check_positive(self, "smallest", "largest", "ohem_kept")
        check_not_negative(self, "ohem")
        check_shares(self, "flip_probability", "ohem")
        if self.smallest > self.largest:
            raise HRNetError(f"smallest must be at most largest, got {self.smallest} and {self.largest}")
        if self.loss_stride not in STRIDES:
            raise HRNetError(f"loss-stride must be one of {', '.join(map(str, STRIDES))}, got {self.loss_stride}")
        check_class_weights(self)
