"""Settings of facial landmarks."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.options import redeclared
from training.tasks.pose.settings import HeatmapSettings


@dataclass(frozen=True)
class LandmarkSettings(HeatmapSettings):
    """Settings of facial landmarks; defaults are those of the official recipes. Zoom and rotation are drawn uniformly."""

    sigma: float = redeclared(HeatmapSettings, "sigma", 1.5)
    scale: float = redeclared(HeatmapSettings, "scale", 0.25)
    rotation: float = redeclared(HeatmapSettings, "rotation", 30.0)
