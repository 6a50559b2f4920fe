"""A task's setting: declared once, it is a field of the settings, a line of recipes and an option of `hrnet train`."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from mobile_eval.errors import HRNetError


def setting(default: Any, said: str) -> Any:
    """A field of a task's `Settings` (a frozen dataclass), with its default and what `--help` says of it.

    Its type is bool, int, float or str, or a tuple of one of these such as tuple[int, ...], which is typed with commas.
    """
    return dataclasses.field(default=default, metadata={"help": said})


def check_shares(settings: Any, *names: str) -> None:
    """Raise HRNetError unless these settings are between 0 and 1."""
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise HRNetError(f"{option(name)} must be between 0 and 1, got {getattr(settings, name)}")


def check_positive(settings: Any, *names: str) -> None:
    """Raise HRNetError unless these settings are above 0, and finite."""
    for name in names:
        if not 0 < getattr(settings, name) < math.inf:
            raise HRNetError(f"{option(name)} must be above 0, got {getattr(settings, name)}")


def check_not_negative(settings: Any, *names: str) -> None:
    """Raise HRNetError where one of these settings is below 0."""
    for name in names:
        if getattr(settings, name) < 0:
            raise HRNetError(f"{option(name)} must be at least 0, got {getattr(settings, name)}")


def check_choice(settings: Any, name: str, known: tuple[str, ...]) -> None:
    """Raise HRNetError unless this setting is one of those that are `known`."""
    if getattr(settings, name) not in known:
        raise HRNetError(f"{option(name)} must be one of {', '.join(known)}, got {getattr(settings, name)!r}")


def check_class_weights(settings: Any) -> None:
    """Raise HRNetError where a class's weight is below 0, or weights are given that are to be worked out too."""
    if any(not weight >= 0 for weight in settings.class_weights):
        raise HRNetError(f"`class_weights` must be at least 0, got {', '.join(map(str, settings.class_weights))}")
    if settings.class_weights and settings.class_balance:
        raise HRNetError("`class_balance` works out the `class_weights`: give one of the two")


def option(name: str) -> str:
    """A setting's name in the message of an error."""
    return f"`{name}`"
