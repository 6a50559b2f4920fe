"""Targets and losses of a detector by centers (Zhou et al., Objects as Points, arXiv 1904.07850).

What differs from the paper: sizes are logarithms, and sizes and offsets are learned at the 3x3 places around a center in place of
the center alone, because the maximum of an integer output may be one place away. Where these places of two boxes overlap, the
nearer center counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hrnet_tf.backend.keras_module import ops
from hrnet_tf.backend.types import Tensor
from mobile_eval.tasks.detection.constants import CENTERS, OFFSETS, SIZES
from training.tasks.detection.examples import NO_BOX

MIN_OVERLAP = 0.7  # of a box whose corners are off by the radius of its Gaussian
FOCUS, FOCUS_NEAR_CENTERS = 2, 4  # exponents of the focal loss, alpha and beta in the paper
REACH = 1  # places around a center, in each direction, at which sizes and offsets are learned
STEPS = [(x, y) for y in range(-REACH, REACH + 1) for x in range(-REACH, REACH + 1)]


@dataclass(frozen=True)
class CenterTargets:
    """What the outputs for N images of at most M boxes are to be, in pixels of the maps.

    Attributes:
        heatmaps: The target of the centers' probabilities (N, h, w, classes), 1 at a center.
        places: Rows of the flattened maps (N * h * w) at which boxes are learned, (N, 9 * M), by box and place.
        sizes: Logarithms (N, 9 * M, 2) of width and height at these places.
        offsets: The center (N, 9 * M, 2), x and y from the upper left corner of each of these places.
        weights: Whether a box is learned at each of these places (N, 9 * M), 0 or 1.
        count: Number of boxes, a scalar, at least 1.
    """

    heatmaps: Tensor
    places: Tensor
    sizes: Tensor
    offsets: Tensor
    weights: Tensor
    count: Tensor


def center_targets(boxes: Tensor, labels: Tensor, size: tuple[int, int], classes: int, stride: int) -> CenterTargets:
    """Return the targets of annotated boxes.

    Args:
        boxes: Corners (N, M, 4) in pixels of the network's input.
        labels: Their classes (N, M); NO_BOX where there is none.
        size: Height and width of the maps.
        classes: Number of classes.
        stride: Pixels of the input per pixel of the maps.
    """
    height, width = size
    boxes = ops.cast(boxes, "float32") / stride
    present = ops.cast(labels != NO_BOX, "float32")
    sides = boxes[..., 2:] - boxes[..., :2]
    limit = np.array([width, height], np.float32)
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    cells = ops.minimum(ops.floor(middles), limit - 1)  # x and y of the places of the centers
    heatmaps = _heatmaps(cells, gaussian_radius(sides), labels, size, classes)
    around = cells[:, :, None] + np.array(STEPS, np.float32)  # (N, M, 9, 2)
    inside = ops.cast(ops.minimum(around, limit - 1 - around) >= 0, "float32")
    weights = present[:, :, None] * inside[..., 0] * inside[..., 1] * _is_nearest(around, cells, present)
    clipped = ops.cast(ops.minimum(ops.maximum(around, 0.0), limit - 1), "int32")
    number = ops.shape(boxes)[0]
    first = ops.arange(number)[:, None, None] * (height * width)
    logarithms = ops.log(ops.maximum(sides, 1 / stride))
    joined = (number, -1)
    return CenterTargets(
        heatmaps,
        ops.reshape(first + clipped[..., 1] * width + clipped[..., 0], joined),
        ops.reshape(ops.repeat(logarithms[:, :, None], len(STEPS), axis=2), (*joined, 2)),
        ops.reshape(middles[:, :, None] - around, (*joined, 2)),
        ops.reshape(weights, joined),
        ops.maximum(ops.sum(present), 1.0),
    )


def _is_nearest(around: Tensor, cells: Tensor, present: Tensor) -> Tensor:
    """Whether no center of another box is nearer to each of the places (N, M, 9, 2) of a box, 0 or 1 (N, M, 9)."""
    squares = ops.sum((around[:, :, :, None] - cells[:, None, None]) ** 2, axis=-1)  # (N, M, 9, M)
    nearest = ops.min(ops.where(present[:, None, None] > 0, squares, np.inf), axis=-1)
    to_its_center = ops.sum((around - cells[:, :, None]) ** 2, axis=-1)
    return ops.cast(to_its_center <= nearest, "float32")


def gaussian_radius(sides: Tensor) -> Tensor:
    """Return how far both corners of boxes may be off, so that the overlap with the box is still `MIN_OVERLAP`.

    The smallest of three cases: both corners are moved outwards, both inwards, or one of each (Law and Deng, CornerNet,
    arXiv 1808.01244).

    Args:
        sides: Width and height (..., 2).

    Returns:
        The radius (...), a whole number.
    """
    perimeter, area = sides[..., 0] + sides[..., 1], sides[..., 0] * sides[..., 1]
    shifted = (perimeter - ops.sqrt(perimeter**2 - 4 * area * (1 - MIN_OVERLAP) / (1 + MIN_OVERLAP))) / 2
    smaller = (perimeter - ops.sqrt(perimeter**2 - 4 * area * (1 - MIN_OVERLAP))) / 4
    larger = (ops.sqrt(perimeter**2 + 4 * area * (1 - MIN_OVERLAP) / MIN_OVERLAP) - perimeter) / 4
    return ops.floor(ops.maximum(ops.minimum(ops.minimum(shifted, smaller), larger), 0.0))


def _heatmaps(cells: Tensor, radii: Tensor, labels: Tensor, size: tuple[int, int], classes: int) -> Tensor:
    """The maxima of Gaussians around the places of centers, class by class (N, h, w, classes)."""
    height, width = size
    deviations = (2 * radii + 1) / 6
    exponents = -0.5 / (deviations**2)[..., None]
    rows = ops.exp(exponents * (np.arange(height, dtype=np.float32) - cells[..., 1, None]) ** 2)  # (N, M, h)
    columns = ops.exp(exponents * (np.arange(width, dtype=np.float32) - cells[..., 0, None]) ** 2)
    number = ops.shape(labels)[0]
    gaussians = ops.reshape(rows[..., :, None] * columns[..., None, :], (-1, height, width))
    segments = ops.arange(number)[:, None] * classes + ops.cast(labels, "int32")
    segments = ops.reshape(ops.where(labels != NO_BOX, segments, number * classes), (-1,))
    largest = ops.segment_max(gaussians, segments, number * classes + 1)[:-1]
    by_class = ops.reshape(ops.maximum(largest, 0.0), (-1, classes, height, width))
    return ops.transpose(by_class, (0, 2, 3, 1))


def focal_loss(logits: Tensor, heatmaps: Tensor) -> Tensor:
    """Return the focal loss, reduced near centers, summed over all places, a scalar.

    Args:
        logits: Logits (N, h, w, classes).
        heatmaps: Their target, 1 at a center.
    """
    probabilities = ops.sigmoid(logits)
    at_centers = (1 - probabilities) ** FOCUS * ops.softplus(-logits)
    elsewhere = (1 - heatmaps) ** FOCUS_NEAR_CENTERS * probabilities**FOCUS * ops.softplus(logits)
    return ops.sum(ops.where(heatmaps >= 1, at_centers, elsewhere))


def center_loss(outputs: Mapping[str, Tensor], targets: CenterTargets, size_weight: float) -> Tensor:
    """Return the loss of a batch per box, a scalar.

    Args:
        outputs: The outputs of the network by name.
        targets: What they are to be.
        size_weight: Weight of the errors of sizes; those of offsets and the focal loss have the weight 1.
    """
    errors = {
        name: ops.sum(targets.weights[..., None] * ops.abs(_at(outputs[name], targets.places) - expected)) / len(STEPS)
        for name, expected in ((SIZES, targets.sizes), (OFFSETS, targets.offsets))
    }
    centers = focal_loss(ops.cast(outputs[CENTERS], "float32"), targets.heatmaps)
    return (centers + size_weight * errors[SIZES] + errors[OFFSETS]) / targets.count


def distance_from_teacher(teacher: Mapping[str, Tensor], outputs: Mapping[str, Tensor], size_weight: float) -> Tensor:
    """Return the distance of outputs from a teacher's, a scalar.

    It is the cross-entropy with the teacher's centers and, weighed by their probabilities, the distance of sizes and offsets,
    both per center of the teacher.

    Args:
        teacher: The teacher's outputs by name.
        outputs: The outputs by name.
        size_weight: See `center_loss`.
    """
    probabilities = ops.sigmoid(ops.cast(teacher[CENTERS], "float32"))
    logits = ops.cast(outputs[CENTERS], "float32")
    centers = ops.sum(probabilities * ops.softplus(-logits) + (1 - probabilities) * ops.softplus(logits))
    weights = ops.max(probabilities, axis=-1, keepdims=True)
    sizes, offsets = (
        ops.sum(weights * ops.abs(ops.cast(teacher[name], "float32") - ops.cast(outputs[name], "float32")))
        for name in (SIZES, OFFSETS)
    )
    return (centers + size_weight * sizes + offsets) / ops.maximum(ops.sum(weights), 1.0)


def _at(maps: Tensor, places: Tensor) -> Tensor:
    """The values (N, K, C) of maps (N, h, w, C) at rows (N, K) of the flattened maps."""
    return ops.take(ops.reshape(ops.cast(maps, "float32"), (-1, maps.shape[-1])), places, axis=0)
