"""Settings of keypoint tasks that regress heatmaps, and those of pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mobile_eval.options import option
from training.tasks.settings import (
    AUGMENTATION,
    LOSS,
    TaskSettings,
    check_below_one,
    check_choice,
    check_fractions,
    check_not_negative,
    check_positive,
)

if TYPE_CHECKING:
    from mobile_eval.image.geometry import Geometry

TARGETS = ("official", "dark", "udp")
LOSSES = ("mse", "ohkm")


@dataclass(frozen=True)
class HeatmapSettings(TaskSettings):
    """What pose and landmarks share: targets, loss and augmentation. Defaults are those of the official pose recipe."""

    targets: str = option(
        "dark", "Heatmaps: official (rounded), dark (exact), or udp (exact, and so are the crops).", panel=LOSS, choices=TARGETS
    )
    sigma: float = option(2.0, "Standard deviation of the Gaussian targets, in heatmap pixels.", panel=LOSS)
    loss: str = option("mse", "Loss: mse, or ohkm (of each image's 8 worst keypoints).", panel=LOSS, choices=LOSSES)
    scale: float = option(0.35, "Random zoom: standard deviation (pose) or maximum (landmarks).", panel=AUGMENTATION)
    rotation: float = option(
        45.0, "Random rotation in degrees: standard deviation (pose) or maximum (landmarks).", panel=AUGMENTATION
    )
    rotation_probability: float = option(0.6, "Probability of a rotation.", panel=AUGMENTATION)
    flip_probability: float = option(0.5, "Probability of a horizontal flip.", panel=AUGMENTATION)
    flip_pairs: str = option(
        "auto",
        "Keypoints that a flip swaps: auto (by name), pairs such as nose_a:nose_b,2:5 (from 0) beside these, or none.",
        panel=AUGMENTATION,
    )

    def __post_init__(self) -> None:
        check_choice(self, "targets", TARGETS)
        check_choice(self, "loss", LOSSES)
        check_positive(self, "sigma")
        check_not_negative(self, "rotation")
        check_fractions(self, "rotation_probability", "flip_probability")
        check_below_one(self, "scale")

    @property
    def geometry(self) -> Geometry:
        from mobile_eval.image.geometry import geometry_of

        return geometry_of(self.targets)


@dataclass(frozen=True)
class PoseSettings(HeatmapSettings):
    """Settings of pose; zoom and rotation are drawn from normal distributions."""

    half_body_probability: float = option(
        0.0, "Probability of a crop of only the upper or lower half of the body.", panel=AUGMENTATION
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fractions(self, "half_body_probability")
