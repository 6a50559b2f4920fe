"""What a box covers of the pyramid, as mmcv's RoIAlign with `aligned=True` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.models.detection.anchors import STRIDES
from hrnet_tf.models.detection.sizes import DETECTION_POOLED_SIZE

# mmdetection 2.x: SingleRoIExtractor
LEVEL_SCALES = (112.0, 224.0, 448.0)  # boxes of at least this size, the root of the area, are read from P3, P4, P5
SAMPLES = 2  # a side of each of the 7x7 bins, as the official repository; 2.x takes more for large boxes


@keras.utils.register_keras_serializable("hrnet_tf")
class RoIAlign(keras.layers.Layer):  # type: ignore[misc]
    """Boxes (N, R, 4) and the maps of P2 to P5 to what each box covers of its level: (N, R, 7, 7, C).

    mmcv's RoIAlign with `aligned=True`: pixel centers at halves, samples beyond an edge take the edge's value.
    keras-cv's ROIPooler rounds to whole pixels; its _ROIAligner takes one sample a bin, has no half pixel and
    extrapolates beyond the upper and left edges.
    """

    def __init__(self, dtype: Any = "float32", **kwargs: Any):
        super().__init__(dtype=dtype, **kwargs)

    def call(self, inputs: Sequence[Any]) -> Any:
        boxes, *levels = inputs
        shape = tf.shape(boxes)
        flat = tf.reshape(boxes, (-1, 4))
        images = tf.repeat(tf.range(shape[0]), shape[1])
        scales = tf.sqrt(tf.reduce_prod(flat[:, 2:] - flat[:, :2], axis=1))
        level_of_box = tf.reduce_sum(tf.cast(scales[:, None] >= LEVEL_SCALES, tf.int32), axis=1)
        places = [tf.cast(tf.where(level_of_box == level)[:, 0], tf.int32) for level in range(len(levels))]
        pooled = [
            pool_level(maps, tf.gather(flat, place), tf.gather(images, place), stride)
            for maps, place, stride in zip(levels, places, STRIDES, strict=False)
        ]
        size = DETECTION_POOLED_SIZE
        return tf.reshape(tf.dynamic_stitch(places, pooled), (-1, boxes.shape[1], size, size, levels[0].shape[-1]))


def pool_level(maps: Any, boxes: Any, images: Any, stride: int) -> Any:
    """RoIAlign on one level: maps (N, H, W, C), boxes (K, 4) in pixels, the image of each (K,): (K, 7, 7, C)."""
    samples = SAMPLES * DETECTION_POOLED_SIZE
    corners = boxes / stride - 0.5
    start, end = corners[:, :2], corners[:, 2:]
    inset = (end - start) / (2 * samples)  # from the box's border to its outermost samples
    bordered = tf.pad(maps, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")  # repeats the edge, and shifts by a pixel
    last = tf.constant([maps.shape[2] + 1, maps.shape[1] + 1], tf.float32)  # the last pixel of the bordered maps is at 1
    outermost = tf.concat([(start + inset + 1) / last, (end - inset + 1) / last], axis=1)
    by_rows = tf.gather(outermost, [1, 0, 3, 2], axis=1)  # y1, x1, y2, x2
    sampled = tf.image.crop_and_resize(bordered, by_rows, images, (samples, samples))
    return tf.nn.avg_pool2d(sampled, SAMPLES, SAMPLES, "VALID")
