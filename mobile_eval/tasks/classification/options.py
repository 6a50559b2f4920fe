"""Options of evaluating classification models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobile_eval.options import option


@dataclass(frozen=True)
class ClassificationEvalOptions:
    """Options of evaluating classification models."""

    picture: Path | None = option(None, "SVG file for a picture of the confusion matrix.")
