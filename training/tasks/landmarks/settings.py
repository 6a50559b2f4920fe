"""Settings of facial landmarks."""

from __future__ import annotations

from dataclasses import dataclass

from training.tasks.pose.settings import HeatmapSettings
from training.tasks.settings import inherited_setting


@dataclass(frozen=True)
class LandmarkSettings(HeatmapSettings):
    """Settings of facial landmarks; defaults are those of the official recipes. Zoom and rotation are drawn uniformly."""

    sigma: float = inherited_setting(HeatmapSettings, "sigma", 1.5)
    scale: float = inherited_setting(HeatmapSettings, "scale", 0.25)
    rotation: float = inherited_setting(HeatmapSettings, "rotation", 30.0)
