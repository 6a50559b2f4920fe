"""Which anchors and proposals learn what: matched by overlap with the boxes, then drawn, so many of an image.

As mmdetection's MaxIoUAssigner and RandomSampler, with the official recipe's numbers.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

from hrnet_tf.backend.keras_module import quiet, tf
from mobile_eval.errors import HRNetError
from training.tasks.detection.targets import NO_BOX

try:
    with (
        quiet(),
        contextlib.redirect_stdout(io.StringIO()),
    ):  # after hrnet_tf.backend.keras_module: it takes the Keras that is open
        from keras_cv.bounding_box import compute_iou
except ImportError as error:
    raise HRNetError(f"training a detector needs keras-cv ({error}): pip install 'hrnet-tf[detection]'") from error

ANCHOR_IS_OBJECT, ANCHOR_IS_BACKGROUND = 0.7, 0.3
BEST_ANCHOR = 0.3  # the anchors that overlap a box most are objects from here on
BOX_IS_OBJECT = 0.5


@dataclass(frozen=True)
class Matches:
    """Of places (N, P): whether each is an object, whether it is background, and which of the boxes it overlaps most."""

    objects: Any
    background: Any
    box: Any


@dataclass(frozen=True)
class Drawn:
    """Places (N, K) that were drawn; `counts` says where one was, `objects` where that is an object."""

    places: Any
    counts: Any
    objects: Any


def overlaps(places: Any, boxes: Any, labels: Any) -> Any:
    """Intersection over union (N, P, M) of places (N, P, 4) or (P, 4) and boxes (N, M, 4); -1 in rows without a box."""
    return tf.where((labels != NO_BOX)[:, None], compute_iou(places, boxes, "xyxy"), -1.0)


def match_anchors(anchors: Any, boxes: Any, labels: Any) -> Matches:
    """Anchors (A, 4) are objects from an overlap of 0.7 on, or where none overlaps a box more; background below 0.3."""
    overlap = overlaps(anchors, boxes, labels)
    best = tf.reduce_max(overlap, axis=2)
    most = tf.reduce_max(overlap, axis=1, keepdims=True)
    objects = (best >= ANCHOR_IS_OBJECT) | tf.reduce_any((overlap == most) & (most >= BEST_ANCHOR), axis=2)
    return Matches(objects, (best < ANCHOR_IS_BACKGROUND) & ~objects, tf.argmax(overlap, axis=2))


def match_boxes(proposals: Any, boxes: Any, labels: Any) -> Matches:
    """Proposals (N, P, 4) are objects from an overlap of 0.5 on, else background; those without area are neither."""
    overlap = overlaps(proposals, boxes, labels)
    has_area = tf.reduce_all(proposals[..., 2:] > proposals[..., :2], axis=-1)
    objects = (tf.reduce_max(overlap, axis=2) >= BOX_IS_OBJECT) & has_area
    return Matches(objects, ~objects & has_area, tf.argmax(overlap, axis=2))


def draw(matches: Matches, count: int, share: float, seed: Any) -> Drawn:
    """At most `count` places of each image at random, of which at most that share are objects; `seed` (2,) says which."""
    shape = tf.shape(matches.objects)
    keys = tf.random.stateless_uniform(shape, seed)
    places = matches.objects.shape[1]
    most = min(max(int(count * share), 1), places)
    last = tf.math.top_k(tf.where(matches.objects, keys, -1.0), most)[0][:, -1:]  # -1 where there are fewer
    objects = matches.objects & (keys >= last)
    worth = tf.where(objects, keys + 2, tf.where(matches.background, keys + 1, 0.0))
    values, chosen = tf.math.top_k(worth, min(count, places))
    return Drawn(chosen, values >= 1, values >= 2)
