"""Keypoints and identities of people from frame to frame.

With a detector, it finds everyone in every Nth frame; in the frames between, each person is searched around the keypoints of the
frame before. Without a detector, one person is followed like this, from the full first frame or a given box on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Array, Box, Image
from mobile_eval.metrics.identities import iou_matrix
from mobile_eval.pipeline.pipeline import People
from mobile_eval.pipeline.predictors import KeypointPredictor
from mobile_eval.pipeline.smoothing import OneEuroFilter, Smoothing
from mobile_eval.pipeline.tracking import Tracker, Tracking
from mobile_eval.tasks.pose.predictions import SCORE_THRESHOLD
from mobile_eval.typed import Size

MIN_CONFIDENT = 4  # keypoints; fewer do not locate a person
MARGIN = 0.25  # on each side, of the extent of the keypoints
SAME_PERSON = 0.75  # IoU of two followed boxes from which on they are the same person


@dataclass(frozen=True)
class Following:
    """How people are followed in a video.

    Args:
        detect_every: Number of frames from one run of the detector to the next.
        track: Follow people, or else look at every frame by itself.
        first_box: Box (x, y, width, height) of the person in the first frame, without a detector; None for the full frame.
        smoothing: Smoothing of the keypoints; None for none.
        tracking: What identities are kept by.

    Raises:
        HRNetError: `detect_every` is below 1.
    """

    detect_every: int = 1
    track: bool = True
    first_box: Box | None = None
    smoothing: Smoothing | None = None
    tracking: Tracking = field(default_factory=Tracking)

    def __post_init__(self) -> None:
        if self.detect_every < 1:
            raise HRNetError(f"`detect_every` must be at least 1, got {self.detect_every}")


class PeopleInVideo:
    """Predicts keypoints and identities in one frame after another.

    Args:
        predictor: A model of keypoints, with or without a detector.
        following: How people are followed.
    """

    def __init__(self, predictor: KeypointPredictor, following: Following | None = None):
        self.predictor, self.following = predictor, following or Following()
        self._tracker = Tracker(predictor.model.description.category.sigmas, self.following.tracking)
        self._filters: dict[int, OneEuroFilter] = {}
        self._frame = 0
        self._last: Array | None = None  # keypoints of the followed person

    def predict(self, image: Image, time_s: float) -> People:
        """Predict the next frame.

        Args:
            image: Frame (H, W, 3), RGB.
            time_s: Its time in seconds.

        Returns:
            The people in it, with identities.
        """
        if self.predictor.pipeline is None:
            people = self._follow_one(image)
        elif self._frame % self.following.detect_every == 0 or not self.following.track:
            people = self.predictor.predict(image)
            people = replace(people, ids=self._tracker.update(people.boxes, people.keypoints, image))
        else:
            people = self._follow(image)
        self._frame += 1
        return self._smoothed(people, time_s)

    def _follow_one(self, image: Image) -> People:
        height, width = image.shape[:2]
        box = box_around(self._last if self.following.track else None, (height, width))
        if self._frame == 0 and self.following.first_box is not None:
            box = self.following.first_box
            if box[0] >= width or box[1] >= height or box[0] + box[2] <= 0 or box[1] + box[3] <= 0:
                raise HRNetError(
                    f"`first_box` {','.join(f'{value:g}' for value in box)} is outside of the frame, {width}x{height}"
                )
        people = self.predictor.predict_boxes(image, [box])
        self._last = people.keypoints[0]
        return replace(people, ids=np.ones(1, np.int64))

    def _follow(self, image: Image) -> People:
        """Search everyone whom the frame before showed around the keypoints there."""
        height, width = image.shape[:2]
        full = (0.0, 0.0, float(width), float(height))
        boxes, identities = [], []
        for track in self._tracker.tracks:
            box = box_around(track.keypoints + np.append(track.velocity, 0), (height, width))
            if track.lost == 0 and box != full:
                boxes.append(box)
                identities.append(track.identity)
        people = self.predictor.predict_boxes(image, boxes)
        kept = _distinct(people, (height, width))
        people = replace(
            people,
            boxes=people.boxes[kept],
            box_scores=people.box_scores[kept],
            keypoints=people.keypoints[kept],
            scores=people.scores[kept],
            ids=np.array(identities, np.int64)[kept],
        )
        if people.ids is not None:
            self._tracker.follow(people.ids, people.boxes, people.keypoints)
        return people

    def _smoothed(self, people: People, time_s: float) -> People:
        if self.following.smoothing is None or people.ids is None:
            return people
        keypoints = people.keypoints.copy()
        for index, identity in enumerate(people.ids.tolist()):
            smooth = self._filters.setdefault(identity, OneEuroFilter(self.following.smoothing))
            keypoints[index, :, :2] = smooth(keypoints[index, :, :2], time_s, float(people.boxes[index, 3]))
        known = {track.identity for track in self._tracker.tracks} | set(people.ids.tolist())
        self._filters = {identity: smooth for identity, smooth in self._filters.items() if identity in known}
        return replace(people, keypoints=keypoints)


def _distinct(people: People, size: Size) -> list[int]:
    """Indices of people who are still seen, without those that repeat another one with a higher score."""
    around = [box_around(keypoints, size) for keypoints in people.keypoints]
    full = (0.0, 0.0, float(size[1]), float(size[0]))
    kept: list[int] = []
    overlaps = iou_matrix(np.array(around), np.array(around))
    for index in np.argsort(-people.scores, kind="stable").tolist():
        if around[index] != full and all(overlaps[index, better] < SAME_PERSON for better in kept):
            kept.append(index)
    return sorted(kept)


def box_around(keypoints: Array | None, size: Size) -> Box:
    """Return the box to search, given the keypoints of the frame before.

    Args:
        keypoints: Keypoints (K, 3): x, y and score; None for the first frame.
        size: Height and width of the frame.

    Returns:
        The box (x, y, width, height) of the confident keypoints with a margin, inside the frame; the full frame if too few are
        confident.
    """
    height, width = size
    confident = keypoints[keypoints[:, 2] > SCORE_THRESHOLD, :2] if keypoints is not None else np.empty((0, 2))
    if len(confident) < MIN_CONFIDENT:
        return 0.0, 0.0, float(width), float(height)
    low, high = confident.min(axis=0), confident.max(axis=0)
    low, high = (np.clip(end, 0, [width, height]) for end in (low - MARGIN * (high - low), high + MARGIN * (high - low)))
    if not np.all(high - low > 1):
        return 0.0, 0.0, float(width), float(height)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])
