"""Facial landmarks: normalized mean error, failure rate, and area under the cumulative error curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.messages import number_of
from mobile_eval.metrics.metric import FAILURE_THRESHOLD, format_scores, none_if_nan
from mobile_eval.typed import JsonObject


@dataclass(frozen=True)
class NmeResult:
    """Errors of faces, in units of the face's size; NaN if nothing is labelled.

    Args:
        threshold: Error above which a face has failed.
        nme: Mean error of the faces.
        failure_rate: Share of faces that have failed.
        auc: Area under the cumulative error curve up to the threshold, divided by the threshold.
        per_landmark: Mean error of each landmark (K,).
        faces_counted: Number of faces that have a size and a labelled landmark.
    """

    threshold: float
    nme: float
    failure_rate: float
    auc: float
    per_landmark: tuple[float, ...]
    faces_counted: int

    def to_json(self, landmarks: Sequence[str]) -> JsonObject:
        """Plain data; NaN becomes null.

        Args:
            landmarks: Names of the landmarks (K,).
        """
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
    """NME, failure rate and AUC. The error of a face is the mean over its labelled landmarks.

    The area is exact: the cumulative curve of errors e is a step function, whose integral from 0 to t is the mean of
    max(0, t - e).

    Args:
        distances: Distances (N, K) in units of the face's size, NaN if not known, from `normalized_distances`.
        threshold: Error above which a face has failed.

    Example:
        >>> nme(np.array([[0.02, 0.04], [0.10, 0.14]])).failure_rate
        0.5
    """
    if not threshold > 0:
        raise HRNetError(f"the error above which a face has failed must be above 0, got {threshold:g}")
    errors = _means(distances, axis=1)
    errors = errors[~np.isnan(errors)]
    per_landmark = tuple(map(float, _means(distances, axis=0)))
    if not errors.size:
        return NmeResult(threshold, *(float("nan"),) * 3, per_landmark, 0)
    return NmeResult(
        threshold=threshold,
        nme=float(errors.mean()),
        failure_rate=float((errors > threshold).mean()),
        auc=float(np.maximum(threshold - errors, 0).mean() / threshold),
        per_landmark=per_landmark,
        faces_counted=int(errors.size),
    )


def _means(distances: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Means over the distances that are not NaN; NaN if all are."""
    known = ~np.isnan(distances)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, distances, 0).sum(axis=axis) / known.sum(axis=axis))
