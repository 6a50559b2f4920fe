"""The layer that reads the features of boxes from the pyramid: mmcv's RoIAlign with `aligned=True`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasDType, Tensor
from mobile_eval.tasks.detection.constants import BIN_SAMPLES, LEVEL_SCALES, POOLED_SIZE, STRIDES


@keras.utils.register_keras_serializable("hrnet_tf")
class RoIAlign(keras.layers.Layer):  # type: ignore[misc]
    """Pool each box to 7x7 bins from the level that fits its size (mmdetection 2.x: SingleRoIExtractor).

    Pixel centers are at halves, and samples beyond an edge take the value of the edge, as in mmcv's RoIAlign with
    `aligned=True`. keras-cv's ROIPooler rounds to integer pixels; its _ROIAligner takes one sample per bin, has no half-pixel
    offset and extrapolates beyond the upper and left edges.

    Call arguments:
        inputs: Boxes (N, R, 4) as corners in pixels, then the maps of P2 to P5, (N, H, W, C) each.

    Returns:
        The features of each box, (N, R, 7, 7, C).
    """

    def __init__(self, dtype: KerasDType = "float32", **kwargs: Any):
        super().__init__(dtype=dtype, **kwargs)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        boxes, *levels = inputs
        shape = tf.shape(boxes)
        flat = tf.reshape(boxes, (-1, 4))
        images = tf.repeat(tf.range(shape[0]), shape[1])
        scales = tf.sqrt(tf.reduce_prod(flat[:, 2:] - flat[:, :2], axis=1))
        level_of_box = tf.reduce_sum(tf.cast(scales[:, None] >= LEVEL_SCALES, tf.int32), axis=1)
        indices = [tf.cast(tf.where(level_of_box == level)[:, 0], tf.int32) for level in range(len(levels))]
        pooled = [
            _pool_level(maps, tf.gather(flat, index), tf.gather(images, index), stride)
            for maps, index, stride in zip(levels, indices, STRIDES, strict=False)
        ]
        stitched = tf.dynamic_stitch(indices, pooled)
        return tf.reshape(stitched, (-1, boxes.shape[1], POOLED_SIZE, POOLED_SIZE, levels[0].shape[-1]))


def _pool_level(maps: Tensor, boxes: Tensor, images: Tensor, stride: int) -> Tensor:
    """RoIAlign on one level: maps (N, H, W, C), boxes (K, 4) in pixels of the input, their images (K,): (K, 7, 7, C)."""
    samples = BIN_SAMPLES * POOLED_SIZE
    corners = boxes / stride - 0.5
    start, end = corners[:, :2], corners[:, 2:]
    inset = (end - start) / (2 * samples)  # from the border of the box to its outermost samples
    bordered = tf.pad(maps, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")  # repeats the edge, and shifts by a pixel
    last = tf.constant([maps.shape[2] + 1, maps.shape[1] + 1], tf.float32)  # index of the last pixel of the bordered maps
    outermost = tf.concat([(start + inset + 1) / last, (end - inset + 1) / last], axis=1)
    normalized_boxes = tf.gather(outermost, [1, 0, 3, 2], axis=1)  # y1, x1, y2, x2
    sampled = tf.image.crop_and_resize(bordered, normalized_boxes, images, (samples, samples))
    return tf.nn.avg_pool2d(sampled, BIN_SAMPLES, BIN_SAMPLES, "VALID")
