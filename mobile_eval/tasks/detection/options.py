"""Options of evaluating detectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobile_eval.options import option


@dataclass(frozen=True)
class DetectionEvalOptions:
    """Options of evaluating detectors."""

    predictions: Path | None = option(None, "File for the predictions, as COCO results (JSON).")
    overlays: Path | None = option(None, "Folder for pictures of the predictions, of the first 50 images.")
