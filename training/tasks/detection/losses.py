"""The losses of Faster R-CNN (arXiv 1506.01497), weighted as in mmdetection."""

from __future__ import annotations

from dataclasses import dataclass

from hrnet_tf.backend.keras_module import tf
from hrnet_tf.backend.types import Tensor
from hrnet_tf.models.detection.anchors import encode_deltas
from mobile_eval.tasks.detection.constants import BOX_STDS, RPN_STDS
from training.tasks.detection.assignment import assign_anchors, assign_proposals, sample

ANCHOR_BETA, BOX_BETA = 1 / 9, 1.0  # below this, an error counts by its square
MAX_POSITIVE_ANCHORS, MAX_POSITIVE_BOXES = 0.5, 0.25  # fractions of a sample


@dataclass(frozen=True)
class SampledBoxes:
    """What the box head trains on.

    Args:
        boxes: Boxes (N, K, 4).
        labels: Their classes (N, K); the number of classes stands for background.
        deltas: Deltas (N, K, 4) from the boxes to the annotated ones.
        valid: Whether there is a box in each place (N, K).
        positive: Whether it is an object (N, K).
    """

    boxes: Tensor
    labels: Tensor
    deltas: Tensor
    valid: Tensor
    positive: Tensor


def smooth_l1(error: Tensor, beta: float) -> Tensor:
    """Half the squared error over `beta` below beta, linear above; summed over the last axis."""
    size = tf.abs(error)
    return tf.reduce_sum(tf.where(size < beta, 0.5 * tf.square(size) / beta, size - 0.5 * beta), axis=-1)


def masked_mean(values: Tensor, mask: Tensor, counted: Tensor) -> Tensor:
    """Sum of values (N, K) under `mask` over the number of places that are `counted`, both (N, K)."""
    total = tf.reduce_sum(tf.where(mask, values, 0.0))
    return total / tf.maximum(tf.reduce_sum(tf.cast(counted, tf.float32)), 1.0)


def anchor_loss(
    logits: Tensor, deltas: Tensor, anchors: Tensor, boxes: Tensor, labels: Tensor, count: int, seed: Tensor
) -> Tensor:
    """Loss of the region proposal network, a scalar.

    Args:
        logits: Objectness logits (N, A).
        deltas: Deltas (N, A, 4) of the anchors.
        anchors: Corners (A, 4).
        boxes: Corners (N, M, 4) of the annotated boxes.
        labels: Their classes (N, M).
        count: Number of anchors per image that are sampled.
        seed: Seed (2,) of the sampling.
    """
    assignment = assign_anchors(anchors, boxes, labels)
    sampled = sample(assignment, count, MAX_POSITIVE_ANCHORS, seed)
    sampled_logits, sampled_deltas = (tf.gather(values, sampled.indices, batch_dims=1) for values in (logits, deltas))
    assigned_boxes = tf.gather(boxes, tf.gather(assignment.box_index, sampled.indices, batch_dims=1), batch_dims=1)
    errors = sampled_deltas - encode_deltas(tf.gather(anchors, sampled.indices), assigned_boxes, RPN_STDS)
    objectness = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(sampled.positive, tf.float32), sampled_logits)
    regression = smooth_l1(errors, ANCHOR_BETA)
    return masked_mean(objectness, sampled.valid, sampled.valid) + masked_mean(regression, sampled.positive, sampled.valid)


def sample_boxes(proposals: Tensor, boxes: Tensor, labels: Tensor, classes: int, count: int, seed: Tensor) -> SampledBoxes:
    """Sample boxes for the box head from the proposals and the annotated boxes themselves.

    Args:
        proposals: Corners (N, P, 4).
        boxes: Corners (N, M, 4) of the annotated boxes.
        labels: Their classes (N, M).
        classes: Number of classes.
        count: Number of boxes per image.
        seed: Seed (2,) of the sampling.
    """
    candidates = tf.concat([proposals, boxes], axis=1)
    assignment = assign_proposals(candidates, boxes, labels)
    sampled = sample(assignment, count, MAX_POSITIVE_BOXES, seed)
    corners = tf.gather(candidates, sampled.indices, batch_dims=1)
    box_index = tf.gather(assignment.box_index, sampled.indices, batch_dims=1)
    assigned_labels = tf.cast(tf.gather(labels, box_index, batch_dims=1), tf.int32)
    deltas = encode_deltas(corners, tf.gather(boxes, box_index, batch_dims=1), BOX_STDS)
    return SampledBoxes(corners, tf.where(sampled.positive, assigned_labels, classes), deltas, sampled.valid, sampled.positive)


def box_loss(class_logits: Tensor, box_deltas: Tensor, sampled: SampledBoxes) -> Tensor:
    """Loss of the box head, a scalar.

    Args:
        class_logits: Logits (N, K, classes + 1) of the sampled boxes.
        box_deltas: Deltas (N, K, 4 * (classes + 1)), for each class.
        sampled: The sampled boxes.
    """
    by_class = tf.reshape(box_deltas, (*tf.unstack(tf.shape(class_logits)), 4))
    deltas = tf.gather(by_class, sampled.labels, batch_dims=2)
    classification = tf.nn.sparse_softmax_cross_entropy_with_logits(sampled.labels, class_logits)
    regression = smooth_l1(deltas - sampled.deltas, BOX_BETA)
    return masked_mean(classification, sampled.valid, sampled.valid) + masked_mean(regression, sampled.positive, sampled.valid)
