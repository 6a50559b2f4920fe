"""The losses of Faster R-CNN (arXiv 1506.01497), as mmdetection weighs them: of anchors, and of the box head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hrnet_tf.backend.keras_module import tf
from hrnet_tf.models.detection.anchors import encode_deltas
from mobile_eval.tasks.detection.constants import BOX_STDS, RPN_STDS
from training.tasks.detection.assignment import draw, match_anchors, match_boxes
from training.tasks.detection.settings import Settings

ANCHOR_BETA, BOX_BETA = 1 / 9, 1.0  # up to here an error counts by its square
OBJECTS_OF_ANCHORS, OBJECTS_OF_BOXES = 0.5, 0.25  # the largest share of objects among what is drawn


@dataclass(frozen=True)
class DetectionLoss:
    """The settings that a detector learns by; the learner puts the two losses together."""

    settings: Settings


@dataclass(frozen=True)
class Sampled:
    """Boxes to learn from (N, K, 4), their classes (N, K), deltas to what they should be (N, K, 4), and which count (N, K)."""

    boxes: Any
    labels: Any
    deltas: Any
    counts: Any
    objects: Any


def smooth_l1(error: Any, beta: float) -> Any:
    """Half the squared error over `beta` up to beta, from there on linear; summed over the last axis."""
    size = tf.abs(error)
    return tf.reduce_sum(tf.where(size < beta, 0.5 * tf.square(size) / beta, size - 0.5 * beta), axis=-1)


def mean_of(values: Any, counts: Any, among: Any) -> Any:
    """The sum of values (N, K) where `counts`, over the number of `among`."""
    total = tf.reduce_sum(tf.where(counts, values, 0.0))
    return total / tf.maximum(tf.reduce_sum(tf.cast(among, tf.float32)), 1.0)


def anchor_loss(logits: Any, deltas: Any, anchors: Any, boxes: Any, labels: Any, count: int, seed: Any) -> Any:
    """That of the region proposal network's logits (N, A) and deltas (N, A, 4), on `count` anchors of each image."""
    matches = match_anchors(anchors, boxes, labels)
    drawn = draw(matches, count, OBJECTS_OF_ANCHORS, seed)
    own, moves = (tf.gather(values, drawn.places, batch_dims=1) for values in (logits, deltas))
    wanted = tf.gather(boxes, tf.gather(matches.box, drawn.places, batch_dims=1), batch_dims=1)
    errors = moves - encode_deltas(tf.gather(anchors, drawn.places), wanted, RPN_STDS)
    is_object = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(drawn.objects, tf.float32), own)
    return mean_of(is_object, drawn.counts, drawn.counts) + mean_of(smooth_l1(errors, ANCHOR_BETA), drawn.objects, drawn.counts)


def sample_boxes(proposals: Any, boxes: Any, labels: Any, classes: int, count: int, seed: Any) -> Sampled:
    """Draw `count` of each image's proposals (N, P, 4) and of its boxes themselves; class `classes` is the background."""
    places = tf.concat([proposals, boxes], axis=1)
    matches = match_boxes(places, boxes, labels)
    drawn = draw(matches, count, OBJECTS_OF_BOXES, seed)
    own, which = tf.gather(places, drawn.places, batch_dims=1), tf.gather(matches.box, drawn.places, batch_dims=1)
    found = tf.cast(tf.gather(labels, which, batch_dims=1), tf.int32)
    deltas = encode_deltas(own, tf.gather(boxes, which, batch_dims=1), BOX_STDS)
    return Sampled(own, tf.where(drawn.objects, found, classes), deltas, drawn.counts, drawn.objects)


def box_loss(class_logits: Any, box_deltas: Any, sampled: Sampled) -> Any:
    """That of the box head's logits (N, K, classes + 1) and deltas (N, K, 4 * (classes + 1)) of sampled boxes."""
    by_class = tf.reshape(box_deltas, (*tf.unstack(tf.shape(class_logits)), 4))
    own = tf.gather(by_class, sampled.labels, batch_dims=2)
    classified = tf.nn.sparse_softmax_cross_entropy_with_logits(sampled.labels, class_logits)
    moved = smooth_l1(own - sampled.deltas, BOX_BETA)
    return mean_of(classified, sampled.counts, sampled.counts) + mean_of(moved, sampled.objects, sampled.counts)
