"""Facial landmarks: normalized mean error, failure rate, and the area under the curve of cumulative errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.metrics.metric import FAILURE_THRESHOLD, format_scores, none_if_nan
from mobile_eval.words import number_of


@dataclass(frozen=True)
class NmeResult:
    """The mean of the faces' errors; the share of faces whose error is above `threshold`; and the area under the curve of
    cumulative errors up to it, as a share of the whole. Errors are in units of the face, `per_landmark` (K,) too.

    NaN where nothing was labelled. `faces_counted` are those that have a unit and a labelled landmark.
    """

    threshold: float
    nme: float
    failure_rate: float
    auc: float
    per_landmark: tuple[float, ...]
    faces_counted: int

    def to_json(self, landmarks: Sequence[str]) -> dict[str, Any]:
        """Plain data, with the names of the `landmarks`; NaN becomes null."""
        return {
            "nme": none_if_nan(self.nme),
            "threshold": self.threshold,
            "failure_rate": none_if_nan(self.failure_rate),
            "auc": none_if_nan(self.auc),
            "faces_counted": self.faces_counted,
            "per_landmark": {name: none_if_nan(error) for name, error in zip(landmarks, self.per_landmark, strict=True)},
        }

    def __str__(self) -> str:
        at = f"@{self.threshold:g}"
        scores = {"NME": self.nme, f"FR{at}": self.failure_rate, f"AUC{at}": self.auc}
        return f"{format_scores(scores)} over {number_of(self.faces_counted, 'faces')}"


def nme(distances: NDArray[np.float64], threshold: float = FAILURE_THRESHOLD) -> NmeResult:
    """NME of distances (N, K) in units of each face, NaN where not known, as `normalized_distances` gives them.

    A face's error is the mean over its labelled landmarks. The area is exact: the cumulative curve of errors e is a staircase,
    and its integral from 0 to t the mean of max(0, t - e).
    """
    if not threshold > 0:
        raise HRNetError(f"the error above which a face has failed must be above 0, got {threshold:g}")
    errors = _means(distances, axis=1)
    errors = errors[~np.isnan(errors)]
    per_landmark = tuple(map(float, _means(distances, axis=0)))
    if not errors.size:
        return NmeResult(threshold, *(float("nan"),) * 3, per_landmark, 0)
    area = np.maximum(threshold - errors, 0).mean() / threshold
    return NmeResult(
        threshold, float(errors.mean()), float((errors > threshold).mean()), float(area), per_landmark, int(errors.size)
    )


def _means(distances: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Means of what is known."""
    known = ~np.isnan(distances)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, distances, 0).sum(axis=axis) / known.sum(axis=axis))
