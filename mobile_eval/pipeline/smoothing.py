"""The One-Euro filter (Casiez, Roussel and Vogel, CHI 2012): less jitter at rest, little lag in motion.

A low-pass filter whose cutoff frequency grows with speed: `cutoff = min_cutoff + beta * speed`. `benchmarks/tracking.py` measures
how much jitter it removes and the lag that it costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Array

SPEED_CUTOFF_HZ = 1.0  # of the speed itself


@dataclass(frozen=True)
class Smoothing:
    """Settings of the filter.

    Args:
        min_cutoff_hz: Cutoff frequency at rest; lower removes more jitter.
        beta: Growth of the cutoff with speed, in Hz per box height a second; higher lags less.

    Raises:
        HRNetError: A value is out of range.
    """

    min_cutoff_hz: float = 2.0
    beta: float = 15.0

    def __post_init__(self) -> None:
        if not (self.min_cutoff_hz > 0 and self.beta >= 0):
            raise HRNetError(
                f"`min_cutoff_hz` must be above 0 and `beta` at least 0, got {self.min_cutoff_hz:g} and {self.beta:g}"
            )


class OneEuroFilter:
    """Smooths the keypoints of one person.

    Args:
        settings: The settings.
    """

    def __init__(self, settings: Smoothing):
        self.settings = settings
        self._time_s = 0.0
        self._values: Array | None = None
        self._speeds: Array = np.zeros(0)

    def __call__(self, points: Array, time_s: float, scale: float) -> Array:
        """Smooth the points of the next frame.

        Args:
            points: Points (K, 2) in pixels.
            time_s: Time of the frame in seconds; it must grow.
            scale: Height of the person in pixels, which speeds are relative to.

        Returns:
            Smoothed points (K, 2).
        """
        elapsed_s = time_s - self._time_s
        if self._values is None or elapsed_s <= 0:
            self._values, self._speeds, self._time_s = points.copy(), np.zeros(len(points)), time_s
            return points
        velocity = np.linalg.norm(points - self._values, axis=1) / elapsed_s / max(scale, 1.0)
        self._speeds = self._speeds + _weight(SPEED_CUTOFF_HZ, elapsed_s) * (velocity - self._speeds)
        cutoff = self.settings.min_cutoff_hz + self.settings.beta * self._speeds
        weights = np.array([_weight(float(value), elapsed_s) for value in cutoff])
        self._values = self._values + weights[:, None] * (points - self._values)
        self._time_s = time_s
        return self._values.copy()


def _weight(cutoff_hz: float, elapsed_s: float) -> float:
    """Weight of a new value in a low-pass filter of first order."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * elapsed_s))
