"""Options of evaluating landmark models."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from mobile_eval.metrics.metric import FAILURE_THRESHOLD
from mobile_eval.options import option
from mobile_eval.tasks.pose.options import KeypointEvalOptions


@dataclass(frozen=True)
class LandmarkEvalOptions(KeypointEvalOptions):
    """Options of evaluating landmark models."""

    unit: str | None = option(
        None,
        "Length that errors are divided by: inter-ocular (outer eye corners), inter-pupil (eye centers), box (square root of its "
        "area), or a distance between landmarks by index, such as 36,45 or 36-41,42-47. Default: inter-ocular if the eyes are "
        "known, else box.",
    )
    failure_above: float = option(FAILURE_THRESHOLD, "Error above which a face counts as failed, and at which the AUC ends.")

    def __post_init__(self) -> None:
        if not 0 < self.failure_above < math.inf:
            raise HRNetError(f"`failure_above` must be above 0, got {self.failure_above:g}")
