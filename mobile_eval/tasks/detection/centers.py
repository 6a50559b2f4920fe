"""From the outputs of a detector by centers to objects (Zhou et al., Objects as Points, arXiv 1904.07850).

The outputs are maps at a fraction of the input's size, the stride, and in units of it. An object is where the logit of its class
is the maximum of the 3x3 places around. Integer outputs have equal logits side by side, whose boxes are nearly the same:
non-maximum suppression keeps one of them. Sizes are logarithms: a step of an integer output is the same fraction of every size.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.tasks.detection.anchors import Array, sigmoid
from mobile_eval.tasks.detection.boxes import Objects, best_objects
from mobile_eval.tasks.detection.constants import MAX_CENTERS, SCORE_THRESHOLD
from mobile_eval.typed import Size

MAX_LOG_SIZE = 12.0  # larger than any image, and small enough for its exponential


def decode_centers(
    centers: Array, sizes: Array, offsets: Array, input_size: Size, image_size: Size, *, min_score: float = SCORE_THRESHOLD
) -> Objects:
    """Decode the outputs for an image. NMS is applied to each class by itself.

    Args:
        centers: Logits (h, w, classes) that the center of an object of a class is here.
        sizes: Natural logarithms (h, w, 2) of width and height, in pixels of the maps.
        offsets: Center (h, w, 2), x and y from the upper left corner of a pixel of the maps, in these pixels.
        input_size: Size (height, width) of the network's input.
        image_size: Size (height, width) of the image that was resized to it.
        min_score: Lowest score of an object, above 0.

    Returns:
        The objects, in pixels of the image.

    Example:
        >>> centers, sizes, offsets = np.full((4, 4, 1), -9.0), np.zeros((4, 4, 2)), np.full((4, 4, 2), 0.5)
        >>> centers[1, 2] = 0.0
        >>> objects = decode_centers(centers, sizes, offsets, (16, 16), (32, 32))
        >>> objects.boxes.tolist(), objects.scores.tolist()
        ([[16.0, 8.0, 8.0, 8.0]], [0.5])
    """
    rows, columns, labels = peaks(centers, min_score)
    sides = np.exp(np.clip(sizes[rows, columns], -MAX_LOG_SIZE, MAX_LOG_SIZE))
    places = np.stack([columns, rows], axis=-1) + offsets[rows, columns]
    stride = np.array([input_size[1] / centers.shape[1], input_size[0] / centers.shape[0]] * 2, np.float32)
    corners = np.concatenate([places - sides / 2, places + sides / 2], axis=-1) * stride
    corners = np.clip(corners, 0, np.array([input_size[1], input_size[0]] * 2, np.float32)).astype(np.float32)
    return best_objects(corners, sigmoid(centers[rows, columns, labels]), labels, input_size, image_size)


def peaks(centers: Array, min_score: float = SCORE_THRESHOLD) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Find the maxima of 3x3 places that score at least `min_score`; at most `MAX_CENTERS`, the best ones.

    Args:
        centers: Logits (h, w, classes).
        min_score: Lowest score, above 0.

    Returns:
        Rows, columns and classes (N,), by row.
    """
    lowest = math.log(min_score / (1 - min_score)) if min_score < 1 else math.inf
    height, width, classes = centers.shape
    flat = centers.reshape(height, width * classes)  # the place beside is `classes` columns away
    around = np.zeros((3, 2 * classes + 1), np.uint8)
    around[:, ::classes] = 1
    indices = np.flatnonzero((flat >= lowest) & (flat == cv2.dilate(flat, around)))
    if len(indices) > MAX_CENTERS:
        indices = np.sort(indices[np.argsort(-flat.ravel()[indices], kind="stable")[:MAX_CENTERS]])
    rows, columns, labels = np.unravel_index(indices, centers.shape)
    return rows, columns, labels
