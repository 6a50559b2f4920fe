"""Identities of people from frame to frame: by motion, keypoints (OKS), boxes (IoU) and colours, assigned together.

Trackers on PyPI were considered in late 2026: norfair asks for numpy below 2, and supervision and trackers bring matplotlib,
scipy and a second build of opencv, none of which a device's installation has. They know boxes or points, but neither OKS nor the
scores of keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Array, Image
from mobile_eval.metrics.assignment import assign
from mobile_eval.metrics.identities import iou_matrix

CONFIDENT = 0.2  # score of keypoints that count
MIN_COMMON = 4  # keypoints that two poses share, for OKS
SIGMA = 0.08  # of keypoints whose OKS constants are not known
SIGMA_SCALE = 2.0  # on OKS constants, which are those of annotators, not of motion
VELOCITY_WEIGHT = 0.35  # of the last step in a velocity
COLOUR_WEIGHT = 0.3  # of the last frame in the colours of a person
HUES, SATURATIONS = 12, 4  # bins of colours
REACH, REACH_GROWTH = 0.35, 0.05  # box heights that a person may be away from the expected place: at once, and more per frame
MAX_REACH = 1.5
IOU_SHARE, OKS_SHARE, COLOUR_SHARE, PLACE_SHARE = 0.25, 0.3, 0.25, 0.2  # of the similarity


@dataclass(frozen=True)
class Tracking:
    """What identities are kept by.

    Args:
        max_lost: Number of frames after which a person who is not seen is forgotten.
        min_similarity: Lowest similarity of a person to one of the frames before, 0 to 1.
        boxes_only: Compare with the last box by IoU alone: the baseline.

    Raises:
        HRNetError: A value is out of range.
    """

    max_lost: int = 45
    min_similarity: float = 0.3
    boxes_only: bool = False

    def __post_init__(self) -> None:
        if self.max_lost < 0 or not 0 <= self.min_similarity <= 1:
            raise HRNetError(
                f"`max_lost` must be at least 0 and `min_similarity` from 0 to 1, got {self.max_lost} and {self.min_similarity:g}"
            )


@dataclass
class Track:
    """A person whom the tracker knows.

    Attributes:
        identity: The identity, from 1 on.
        box: Last box (4,): x, y, width, height.
        keypoints: Last keypoints (K, 3).
        velocity: Smoothed motion (x, y) in pixels per frame.
        colours: Smoothed histogram of the colours in the middle of the box; None without images.
        lost: Number of frames since the person was seen.
        frames: Number of frames in which the person was seen.
    """

    identity: int
    box: Array
    keypoints: Array
    velocity: Array
    colours: Array | None
    lost: int = 0
    frames: int = 1

    @property
    def shift(self) -> Array:
        """Expected motion (x, y) since the person was seen, in pixels; a person who is hidden is expected to slow down."""
        steps = (1 - 0.97 ** (self.lost + 1)) / 0.03
        return self.velocity * steps


class Tracker:
    """Keeps identities from frame to frame.

    Args:
        sigmas: OKS constants (K,) of the keypoints; None if they are not known.
        settings: The settings.

    Attributes:
        tracks: The people that are known, lost ones too.

    Example:
        >>> tracker = Tracker(None)
        >>> box, keypoints = np.array([[10.0, 10, 20, 40]]), np.zeros((1, 17, 3))
        >>> [tracker.update(box + [3 * frame, 0, 0, 0], keypoints).tolist() for frame in range(3)]
        [[1], [1], [1]]
    """

    def __init__(self, sigmas: Sequence[float] | None, settings: Tracking | None = None):
        self.sigmas = None if sigmas is None else np.asarray(sigmas, np.float64)
        self.settings = settings or Tracking()
        self.tracks: list[Track] = []
        self._last_identity = 0

    def update(self, boxes: Array, keypoints: Array, image: Image | None = None) -> NDArray[np.int64]:
        """Give identities to the people of the next frame.

        Args:
            boxes: Boxes (N, 4): x, y, width, height.
            keypoints: Keypoints (N, K, 3).
            image: The frame (H, W, 3), RGB, for colours; None to go without.

        Returns:
            Identities (N,), from 1 on. A new person gets the next one.
        """
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        colours = [None if image is None or self.settings.boxes_only else _colours(image, box) for box in boxes]
        similarities = self._similarities(boxes, keypoints, colours)
        identities = np.zeros(len(boxes), np.int64)
        matched: set[int] = set()
        for row, column in assign(-similarities) if similarities.size else ():
            if similarities[row, column] >= self.settings.min_similarity:
                matched.add(row)
                identities[column] = self.tracks[row].identity
                _see(self.tracks[row], boxes[column], keypoints[column], colours[column])
        for index, track in enumerate(self.tracks):
            track.lost += index not in matched
        self.tracks = [track for track in self.tracks if track.lost <= self.settings.max_lost]
        for column in np.flatnonzero(identities == 0).tolist():
            identities[column] = self._start(boxes[column], keypoints[column], colours[column])
        return identities

    def follow(self, identities: NDArray[np.int64], boxes: Array, keypoints: Array) -> None:
        """Take over people of the next frame whose identities are known, because they were searched where they had been.

        Args:
            identities: Identities (N,) of known people.
            boxes: Boxes (N, 4).
            keypoints: Keypoints (N, K, 3).
        """
        rows = {int(identity): row for row, identity in enumerate(identities)}
        for track in self.tracks:
            if track.identity in rows:
                _see(track, boxes[rows[track.identity]], keypoints[rows[track.identity]], None)
            else:
                track.lost += 1
        self.tracks = [track for track in self.tracks if track.lost <= self.settings.max_lost]

    def _start(self, box: Array, keypoints: Array, colours: Array | None) -> int:
        self._last_identity += 1
        self.tracks.append(Track(self._last_identity, box, keypoints, np.zeros(2), colours))
        return self._last_identity

    def _similarities(self, boxes: Array, keypoints: Array, colours: Sequence[Array | None]) -> Array:
        """Similarities (tracks, N), 0 to 1; -1 for people who cannot be the same."""
        if not self.tracks or not len(boxes):
            return np.zeros((len(self.tracks), len(boxes)))
        if self.settings.boxes_only:
            return iou_matrix(np.stack([track.box for track in self.tracks]), boxes)
        expected = np.stack([track.box + np.append(track.shift, [0, 0]) for track in self.tracks])
        overlaps = iou_matrix(expected, boxes)
        values = np.zeros_like(overlaps)
        for row, track in enumerate(self.tracks):
            center = expected[row, :2] + expected[row, 2:] / 2
            heights = np.maximum(boxes[:, 3], expected[row, 3])
            away = np.linalg.norm(boxes[:, :2] + boxes[:, 2:] / 2 - center, axis=1) / np.maximum(heights, 1.0)
            reach = min(REACH + REACH_GROWTH * track.lost, MAX_REACH)
            for column in range(len(boxes)):
                pose = self._pose_similarity(track, keypoints[column], boxes[column])
                colour = _colour_similarity(track.colours, colours[column])
                place = max(1 - away[column] / reach, 0.0)
                parts = [(IOU_SHARE, overlaps[row, column]), (OKS_SHARE, pose), (COLOUR_SHARE, colour), (PLACE_SHARE, place)]
                known = [(share, value) for share, value in parts if value is not None]
                total = sum(share * value for share, value in known) / sum(share for share, _ in known)
                values[row, column] = total if away[column] <= reach else -1.0
        return values

    def _pose_similarity(self, track: Track, keypoints: Array, box: Array) -> float | None:
        """OKS of the confident keypoints to the expected ones; None if too few are confident."""
        common = (track.keypoints[:, 2] > CONFIDENT) & (keypoints[:, 2] > CONFIDENT)
        if common.sum() < MIN_COMMON:
            return None
        offsets = keypoints[common, :2] - track.keypoints[common, :2] - track.shift
        sigmas = np.full(len(keypoints), SIGMA) if self.sigmas is None else self.sigmas
        variances = np.square(2 * SIGMA_SCALE * sigmas[common]) * max(float(box[2] * box[3]), 1.0)
        return float(np.exp(-np.square(offsets).sum(axis=1) / variances / 2).mean())


def _see(track: Track, box: Array, keypoints: Array, colours: Array | None) -> None:
    """Update a track with the person of this frame."""
    step = (_place(box, keypoints, track.keypoints) - _place(track.box, track.keypoints, keypoints)) / (track.lost + 1)
    weight = max(VELOCITY_WEIGHT, 1 / track.frames) if track.frames > 1 else 1.0
    track.velocity = track.velocity + weight * (step - track.velocity)
    if colours is not None:
        known = colours if track.colours is None else track.colours
        track.colours = known + COLOUR_WEIGHT * (colours - known)
    track.box, track.keypoints, track.lost = box, keypoints, 0
    track.frames += 1


def _place(box: Array, keypoints: Array, others: Array) -> Array:
    """Where a person is: the mean of the keypoints that are confident in both frames, or else the center of the box."""
    common = (keypoints[:, 2] > CONFIDENT) & (others[:, 2] > CONFIDENT)
    return keypoints[common, :2].mean(axis=0) if common.sum() >= MIN_COMMON else box[:2] + box[2:] / 2


def _colours(image: Image, box: Array) -> Array | None:
    """Histogram of hue and saturation in the middle of a box, of sum 1; None for a box outside of the image."""
    x, y, width, height = box
    rows = slice(max(int(y + 0.15 * height), 0), max(int(y + 0.65 * height), 0))
    columns = slice(max(int(x + 0.25 * width), 0), max(int(x + 0.75 * width), 0))
    part = np.ascontiguousarray(image[rows, columns])
    if not part.size:
        return None
    hsv = cv2.cvtColor(part, cv2.COLOR_RGB2HSV)
    counts = np.asarray(cv2.calcHist([hsv], [0, 1], None, [HUES, SATURATIONS], [0, 180, 0, 256]), np.float64).reshape(-1)
    return counts / counts.sum()


def _colour_similarity(colours: Array | None, others: Array | None) -> float | None:
    """Bhattacharyya coefficient of two histograms, 0 to 1; None if one is missing."""
    return None if colours is None or others is None else float(np.sqrt(colours * others).sum())
