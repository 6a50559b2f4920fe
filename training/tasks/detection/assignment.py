"""Assigning anchors and proposals to boxes by their overlap, and sampling from them.

Follows mmdetection's MaxIoUAssigner and RandomSampler, with the numbers of the official recipe.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

from hrnet_tf.backend.keras_module import quiet, tf
from hrnet_tf.backend.types import Tensor
from mobile_eval.errors import HRNetError
from training.tasks.detection.examples import NO_BOX

try:
    with (
        quiet(),
        contextlib.redirect_stdout(io.StringIO()),
    ):  # after hrnet_tf.backend.keras_module: it takes the Keras that is open
        from keras_cv.bounding_box import compute_iou
except ImportError as error:
    raise HRNetError(f"training a detector needs keras-cv ({error}): pip install 'hrnet-tf[detection]'") from error

POSITIVE_ANCHOR_IOU, NEGATIVE_ANCHOR_IOU = 0.7, 0.3
MIN_BEST_ANCHOR_IOU = 0.3  # the best anchors of a box are positive from this overlap on
POSITIVE_PROPOSAL_IOU = 0.5


@dataclass(frozen=True)
class Assignment:
    """The assignment of candidates, which are anchors or proposals.

    Args:
        positive: Whether each candidate (N, P) is an object.
        negative: Whether each candidate (N, P) is background.
        box_index: Index (N, P) of the box that each candidate overlaps most.
    """

    positive: Tensor
    negative: Tensor
    box_index: Tensor


@dataclass(frozen=True)
class Sample:
    """Randomly chosen candidates.

    Args:
        indices: Their indices (N, K).
        valid: Whether there is a candidate in each place (N, K); an image may have fewer than K.
        positive: Whether it is an object (N, K).
    """

    indices: Tensor
    valid: Tensor
    positive: Tensor


def overlaps(candidates: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
    """Return the intersection over union (N, P, M) of candidates (N, P, 4) or (P, 4) and boxes (N, M, 4); -1 for no box."""
    return tf.where((labels != NO_BOX)[:, None], compute_iou(candidates, boxes, "xyxy"), -1.0)


def assign_anchors(anchors: Tensor, boxes: Tensor, labels: Tensor) -> Assignment:
    """Assign anchors (A, 4) to boxes (N, M, 4).

    An anchor is positive from an overlap of 0.7 on, or where it is the best one of a box with at least 0.3; it is negative below
    an overlap of 0.3.
    """
    overlap = overlaps(anchors, boxes, labels)
    best_of_anchor = tf.reduce_max(overlap, axis=2)
    best_of_box = tf.reduce_max(overlap, axis=1, keepdims=True)
    is_best = tf.reduce_any((overlap == best_of_box) & (best_of_box >= MIN_BEST_ANCHOR_IOU), axis=2)
    positive = (best_of_anchor >= POSITIVE_ANCHOR_IOU) | is_best
    return Assignment(positive, (best_of_anchor < NEGATIVE_ANCHOR_IOU) & ~positive, tf.argmax(overlap, axis=2))


def assign_proposals(proposals: Tensor, boxes: Tensor, labels: Tensor) -> Assignment:
    """Assign proposals (N, P, 4): positive from an overlap of 0.5 on, else negative; those without area are neither."""
    overlap = overlaps(proposals, boxes, labels)
    has_area = tf.reduce_all(proposals[..., 2:] > proposals[..., :2], axis=-1)
    positive = (tf.reduce_max(overlap, axis=2) >= POSITIVE_PROPOSAL_IOU) & has_area
    return Assignment(positive, ~positive & has_area, tf.argmax(overlap, axis=2))


def sample(assignment: Assignment, count: int, max_positive: float, seed: Tensor) -> Sample:
    """Sample candidates of each image at random.

    Args:
        assignment: The candidates.
        count: Number of candidates per image.
        max_positive: Largest fraction of positive ones among them.
        seed: Seed (2,) of the sampling.
    """
    keys = tf.random.stateless_uniform(tf.shape(assignment.positive), seed)
    candidates = assignment.positive.shape[1]
    positive_count = min(max(int(count * max_positive), 1), candidates)
    last_key = tf.math.top_k(tf.where(assignment.positive, keys, -1.0), positive_count)[0][:, -1:]  # -1 where there are fewer
    positive = assignment.positive & (keys >= last_key)
    priority = tf.where(positive, keys + 2, tf.where(assignment.negative, keys + 1, 0.0))
    values, indices = tf.math.top_k(priority, min(count, candidates))
    return Sample(indices, values >= 1, values >= 2)
