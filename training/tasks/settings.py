"""What the settings of tasks have in common. Each setting is a field of a dataclass, a line of a recipe and an option."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from mobile_eval.errors import HRNetError
from mobile_eval.options import option

if TYPE_CHECKING:
    from mobile_eval.image.geometry import Geometry

LOSS, AUGMENTATION = "Targets and loss", "Augmentation"  # headings in --help


@dataclasses.dataclass(frozen=True)
class TaskSettings:
    """Base class of the settings of a task: a frozen dataclass of augmentation, targets and loss.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class DepthSettings(TaskSettings):
        ...     max_depth_m: float = option(10.0, "Largest depth that counts, in metres.")
    """

    @property
    def geometry(self) -> Geometry:
        """Geometry of the network's inputs and outputs, one of `mobile_eval.image.geometry`."""
        from mobile_eval.image.geometry import STANDARD

        return STANDARD


@dataclasses.dataclass(frozen=True)
class ClassWeightSettings(TaskSettings):
    """Settings of tasks whose loss can weigh the classes. The fields are declared here, so that all tasks share their help."""

    class_weights: tuple[float, ...] = option((), "Weight of each class in the loss, such as 0.8,1.2.", panel=LOSS)
    balance_classes: bool = option(False, "Weigh the classes by how rare they are in the training set.", panel=LOSS)

    def check_class_weights(self) -> None:
        """Raise HRNetError where a weight is negative, or where weights are both given and to be computed."""
        if any(not weight >= 0 for weight in self.class_weights):
            raise HRNetError(f"`class_weights` must be at least 0, got {', '.join(map(str, self.class_weights))}")
        if self.class_weights and self.balance_classes:
            raise HRNetError("`balance_classes` computes the `class_weights`: give only one of the two")


def check_fractions(settings: object, *names: str) -> None:
    """Raise HRNetError unless each named setting is between 0 and 1."""
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise HRNetError(f"`{name}` must be between 0 and 1, got {getattr(settings, name)}")


def check_positive(settings: object, *names: str) -> None:
    """Raise HRNetError unless each named setting is above 0 and finite."""
    for name in names:
        if not 0 < getattr(settings, name) < math.inf:
            raise HRNetError(f"`{name}` must be above 0, got {getattr(settings, name)}")


def check_not_negative(settings: object, *names: str) -> None:
    """Raise HRNetError where a named setting is below 0."""
    for name in names:
        if getattr(settings, name) < 0:
            raise HRNetError(f"`{name}` must be at least 0, got {getattr(settings, name)}")


def check_below_one(settings: object, *names: str) -> None:
    """Raise HRNetError unless each named setting is at least 0 and below 1."""
    for name in names:
        if not 0 <= getattr(settings, name) < 1:
            raise HRNetError(f"`{name}` must be at least 0 and below 1, got {getattr(settings, name)}")


def check_choice(settings: object, name: str, choices: tuple[object, ...]) -> None:
    """Raise HRNetError unless the named setting is one of `choices`."""
    if getattr(settings, name) not in choices:
        raise HRNetError(f"`{name}` must be one of {', '.join(map(str, choices))}, got {getattr(settings, name)!r}")
