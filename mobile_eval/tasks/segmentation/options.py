"""Options of evaluating segmentation models."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.options import option


@dataclass(frozen=True)
class SegmentationEvalOptions:
    """Options of evaluating segmentation models.

    By default an image is resized to the network's input size. With `windows`, windows of that size are cut out of the image,
    which is scaled by each of `scales`.
    """

    flip: bool = option(False, "Flip test: average the probabilities of the mirrored image in.")
    windows: bool = option(
        False, "Evaluate sliding windows of the network's input size on the image at its own size, instead of resizing it."
    )
    scales: tuple[float, ...] = option(
        (1.0,), "With --windows, scales of the image whose probabilities are added, such as 0.5,1,1.5."
    )
    overlap: float = option(0.0, "With --windows, share of a window that the next window overlaps, at least.")
    overlays: Path | None = option(None, "Folder for pictures of annotations and predictions, of the first 50 images.")
    picture: Path | None = option(None, "SVG file for a picture of the confusion matrix.")

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise HRNetError(f"`scales` must be above 0, such as 0.5,1,1.5; got {', '.join(map(str, self.scales))}")
        if not 0 <= self.overlap < 1:
            raise HRNetError(f"`overlap` must be at least 0 and below 1, got {self.overlap:g}")
        if not self.windows and (self.scales != (1.0,) or self.overlap):
            raise HRNetError("`scales` and `overlap` go with `windows`: without it, images are resized as a whole")
