"""How well identities are kept in a video: switches, misses and false tracks as CLEAR MOT counts them (Bernardin, 2008)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_eval.metrics.assignment import assign

Array = NDArray[np.float64]
Identities = tuple[NDArray[np.int64], Array]  # ids (N,), and boxes (N, 4) as x, y, width, height
MIN_IOU = 0.5


@dataclass(frozen=True)
class IdentityCounts:
    """Counts over the frames of one or several videos.

    Attributes:
        switches: How often a person is matched by another identity than the last time.
        matched: Matched people, summed over frames.
        missed: People without a match.
        false: Boxes without a person.
    """

    switches: int = 0
    matched: int = 0
    missed: int = 0
    false: int = 0

    def __add__(self, other: IdentityCounts) -> IdentityCounts:
        return IdentityCounts(
            self.switches + other.switches, self.matched + other.matched, self.missed + other.missed, self.false + other.false
        )

    @property
    def mota(self) -> float:
        """Multiple object tracking accuracy: 1 - (missed + false + switches) / people; NaN without people."""
        people = self.matched + self.missed
        return 1 - (self.missed + self.false + self.switches) / people if people else float("nan")


def count_identities(frames: Iterable[tuple[Identities, Identities]], min_iou: float = MIN_IOU) -> IdentityCounts:
    """Compare identities in a video with the true ones.

    A person keeps the identity of the frame before while their boxes overlap enough; the others are assigned by overlap.

    Args:
        frames: For each frame the true ids and boxes, and the predicted ones.
        min_iou: Lowest intersection over union of a match.
    """
    last: dict[int, int] = {}
    counts = IdentityCounts()
    for (true_ids, true_boxes), (ids, boxes) in frames:
        overlaps = iou_matrix(true_boxes, boxes)
        matches: dict[int, int] = {}
        for row, person in enumerate(true_ids.tolist()):
            columns = np.flatnonzero(ids == last.get(person, -1))
            if columns.size and overlaps[row, columns[0]] >= min_iou:
                matches[row] = int(columns[0])
        free_rows = [row for row in range(len(true_ids)) if row not in matches]
        free_columns = [column for column in range(len(ids)) if column not in matches.values()]
        for row, column in assign(1 - overlaps[np.ix_(free_rows, free_columns)]) if free_rows and free_columns else ():
            if overlaps[free_rows[row], free_columns[column]] >= min_iou:
                matches[free_rows[row]] = free_columns[column]
        switches = 0
        for row, column in matches.items():
            person, identity = int(true_ids[row]), int(ids[column])
            switches += last.get(person, identity) != identity
            last[person] = identity
        counts += IdentityCounts(switches, len(matches), len(true_ids) - len(matches), len(ids) - len(matches))
    return counts


def iou_matrix(boxes: Array, others: Array) -> Array:
    """Intersection over union (N, M) of boxes (N, 4) with others (M, 4), all x, y, width, height."""
    boxes, others = (np.asarray(rows, np.float64).reshape(-1, 4) for rows in (boxes, others))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, :2] + boxes[:, None, 2:], others[None, :, :2] + others[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    areas, other_areas = boxes[:, 2:].prod(axis=1), others[:, 2:].prod(axis=1)
    return np.asarray(common / np.maximum(areas[:, None] + other_areas[None] - common, 1e-9))
