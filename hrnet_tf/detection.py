"""Faster R-CNN on HRNetV2p's pyramid, as mmdetection 2.x builds and decodes it.

Inside the network a box is its corners x1, y1, x2, y2 in pixels of the input, and deltas are (dx, dy, dw, dh):
of the center in widths and heights of the box, and of the logarithms of width and height. What is decoded for
the user is COCO xywh. Classes are 0 to 79, as in mmdetection 2.x, and the background comes last.

Weights of mmdetection 2.x fit channel by channel (a convolution's (out, in, h, w) transposed to (h, w, in, out),
a dense layer's (out, in) to (in, out)) but for two places:

- `box_head_dense1` reads the pooled maps flattened as (row, column, channel), `bbox_head.shared_fcs.0` as
  (channel, row, column): weight.reshape(1024, 256, 7, 7).transpose(2, 3, 1, 0).reshape(12544, 1024).
- `box_head_deltas` has four deltas for each of 81 classes, as the paper counts; `bbox_head.fc_reg` of 2.x has
  320 outputs, which are the first 320 here; the background's last four are never read. (In 1.x the
  background is the first class, and there are 324.)

`rpn_objectness` has a channel an anchor, in the order of the aspect ratios; `rpn_deltas` the four deltas of the
first anchor, then those of the second; `box_head_deltas` those of class 0, then those of class 1.

To train, run the RPN on `rpn_logits` and `rpn_deltas` against `anchor_boxes`, and the box head's layers, taken
by name, on sampled proposals.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf._keras import keras, quiet, tf
from hrnet_tf.heads import Branches, feature_pyramid
from hrnet_tf.spec import (
    DETECTION_ANCHORS,
    DETECTION_FEATURES,
    DETECTION_POOLED_SIZE,
    PYRAMID_CHANNELS,
    PYRAMID_LEVELS,
    STEM_STRIDE,
    HRNetSpec,
)

with quiet(), contextlib.redirect_stdout(io.StringIO()):  # after hrnet_tf._keras: it takes the Keras that is open
    from keras_cv.bounding_box import convert_format
    from keras_cv.layers import ROIGenerator

Size = tuple[int, int]

STRIDES = tuple(STEM_STRIDE * 2**step for step in range(PYRAMID_LEVELS))  # P2 to P6: 4 to 64
ALIGNED_LEVELS = 4  # the box head reads P2 to P5
SIZE_MULTIPLE = STRIDES[ALIGNED_LEVELS - 1]  # the pools to P5 divide; that to P6 may round down (800 pixels: 12 rows)

# mmdetection 2.x: configs/_base_/models/faster_rcnn_r50_fpn.py
ANCHOR_SCALE = 8  # an anchor of ratio 1 is 8 strides wide
ANCHOR_RATIOS = (0.5, 1.0, 2.0)  # height / width
RPN_STDS = (1.0, 1.0, 1.0, 1.0)
BOX_STDS = (0.1, 0.1, 0.2, 0.2)
RPN_IOU = 0.7
PROPOSALS = 1000
CANDIDATES_IN_TRAINING = 2000  # of each level, before non-maximum suppression
SCORE_THRESHOLD = 0.05
BOX_IOU = 0.5
MAX_DETECTIONS = 100
# mmdetection 2.x: SingleRoIExtractor, DeltaXYWHBBoxCoder
LEVEL_SCALES = (112.0, 224.0, 448.0)  # boxes of at least this size, the root of the area, are read from P3, P4, P5
MAX_LOG_SCALE = float(np.log(1000 / 16))
SAMPLES = 2  # a side of each of the 7x7 bins, as the official repository; 2.x takes more for large boxes


@dataclass(frozen=True)
class Detections:
    """Objects found in each image, best first; rows past an image's count are zeros.

    `boxes` (N, K, 4) are COCO xywh in pixels of the input, `scores` (N, K) probabilities, `classes` (N, K)
    0-based, `counts` (N,).
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    counts: NDArray[np.int64]


def detector_outputs(image: Any, branches: Branches, spec: HRNetSpec, *, proposals: int = PROPOSALS) -> dict[str, Any]:
    """What a detector answers for `image` (N, H, W, 3), from the trunk's branches.

    - "proposals" (N, R, 4): corners, best first; zeros where non-maximum suppression left fewer than R
    - "objectness" (N, R): their probability of being an object, 0 for those that fill up
    - "class_logits" (N, R, classes + 1): the background comes last
    - "box_deltas" (N, R, 4 * (classes + 1)): from the proposal to the box, four for each class
    - "rpn_logits" (N, A), "rpn_deltas" (N, A, 4): of the anchors of `anchor_boxes`

    R is `proposals`, 1 to 1000.
    """
    height, width = image.shape[1:3]
    if min(height, width) < STRIDES[-1] or height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
        raise ValueError(
            f"input size {height}x{width}: a detector's height and width must be multiples of {SIZE_MULTIPLE}, "
            f"at least {STRIDES[-1]}"
        )
    levels = feature_pyramid(branches)
    logits, deltas = region_proposal_network(levels)
    boxes, objectness = Proposals((height, width), proposals, name="rpn_proposals")([logits, deltas])
    class_logits, box_deltas = box_head(boxes, levels, spec.classes)
    return {
        "proposals": boxes,
        "objectness": objectness,
        "class_logits": class_logits,
        "box_deltas": box_deltas,
        "rpn_logits": logits,
        "rpn_deltas": deltas,
    }


def region_proposal_network(levels: Mapping[str, Any]) -> tuple[Any, Any]:
    """Objectness logits (N, A) and deltas (N, A, 4) of all anchors; the same weights for every level.

    As keras-cv's RPNHead, whose layers have no names of their own and another initialization.
    """
    conv = keras.layers.Conv2D(
        PYRAMID_CHANNELS, 3, padding="same", activation="relu", kernel_initializer=_normal(0.01), name="rpn_conv"
    )
    objectness = keras.layers.Conv2D(DETECTION_ANCHORS, 1, kernel_initializer=_normal(0.01), name="rpn_objectness")
    regression = keras.layers.Conv2D(4 * DETECTION_ANCHORS, 1, kernel_initializer=_normal(0.01), name="rpn_deltas")
    logits, deltas = [], []
    for level, maps in levels.items():
        x = conv(maps)
        logits.append(keras.layers.Reshape((-1,), name=f"rpn_{level}_logits")(objectness(x)))
        deltas.append(keras.layers.Reshape((-1, 4), name=f"rpn_{level}_deltas")(regression(x)))
    all_logits = keras.layers.Concatenate(axis=1, name="rpn_all_logits")(logits)
    return all_logits, keras.layers.Concatenate(axis=1, name="rpn_all_deltas")(deltas)


def box_head(boxes: Any, levels: Mapping[str, Any], classes: int) -> tuple[Any, Any]:
    """Class logits (N, R, classes + 1) and deltas (N, R, 4 * (classes + 1)) of boxes (N, R, 4)."""
    aligned = list(levels.values())[:ALIGNED_LEVELS]
    pooled = RoIAlign(name="box_head_align")([boxes, *aligned])
    x = keras.layers.Reshape((-1, PYRAMID_CHANNELS * DETECTION_POOLED_SIZE**2), name="box_head_flatten")(pooled)
    x = keras.layers.Dense(DETECTION_FEATURES, "relu", name="box_head_dense1")(x)
    x = keras.layers.Dense(DETECTION_FEATURES, "relu", name="box_head_dense2")(x)
    logits = keras.layers.Dense(classes + 1, kernel_initializer=_normal(0.01), name="box_head_logits")(x)
    deltas = keras.layers.Dense(4 * (classes + 1), kernel_initializer=_normal(0.001), name="box_head_deltas")(x)
    return logits, deltas


def anchor_counts(image_size: Size) -> list[int]:
    """Number of anchors of each level, P2 to P6."""
    return [DETECTION_ANCHORS * (image_size[0] // stride) * (image_size[1] // stride) for stride in STRIDES]


def anchor_boxes(image_size: Size) -> NDArray[np.float32]:
    """Anchors (A, 4) as corners in pixels: level by level, row by row, place by place, ratio by ratio.

    Centered on multiples of the stride as in mmdetection 2.x (`center_offset` 0). keras-cv's AnchorGenerator
    centers them half a stride further and makes a row more where the pool to P6 rounds down.
    """
    levels = []
    for stride in STRIDES:
        roots = np.sqrt(ANCHOR_RATIOS)
        sides = ANCHOR_SCALE * stride * np.stack([1 / roots, roots], axis=-1)  # width, height
        y, x = np.mgrid[: image_size[0] // stride, : image_size[1] // stride] * stride
        centers = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
        levels.append(np.concatenate([centers - sides / 2, centers + sides / 2], axis=-1).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def decode_deltas(boxes: Any, deltas: Any, stds: Sequence[float]) -> Any:
    """Boxes (..., 4) moved and scaled by deltas (..., 4) that are in units of `stds`.

    keras-cv's decoder reads deltas as (dy, dx, dh, dw) and lets sizes grow without bound.
    """
    deltas = deltas * tf.constant(stds)
    sizes = boxes[..., 2:] - boxes[..., :2]
    centers = boxes[..., :2] + sizes / 2 + deltas[..., :2] * sizes
    halves = tf.exp(tf.clip_by_value(deltas[..., 2:], -MAX_LOG_SCALE, MAX_LOG_SCALE)) * sizes / 2
    return tf.concat([centers - halves, centers + halves], axis=-1)


def clip_boxes(boxes: Any, image_size: Size) -> Any:
    """Boxes (..., 4) cut at the borders of the image."""
    height, width = image_size
    return tf.clip_by_value(boxes, 0.0, tf.constant([width, height, width, height], tf.float32))


def decode_detections(
    outputs: Mapping[str, Any],
    image_size: Size,
    *,
    score_threshold: float = SCORE_THRESHOLD,
    iou_threshold: float = BOX_IOU,
    limit: int = MAX_DETECTIONS,
) -> Detections:
    """The objects that a detector's outputs tell of: at most `limit` an image.

    keras-cv's MultiClassNonMaxSuppression takes one box for all classes; the operation under it takes one each.
    """
    names = ("proposals", "objectness", "class_logits", "box_deltas")
    proposals, objectness, logits, deltas = (tf.cast(outputs[name], tf.float32) for name in names)
    scores = tf.where(objectness[..., None] > 0, tf.nn.softmax(logits)[..., :-1], 0.0)
    deltas = tf.reshape(deltas, [*tf.unstack(tf.shape(logits)), 4])[..., :-1, :]
    boxes = clip_boxes(decode_deltas(proposals[:, :, None], deltas, BOX_STDS), image_size)
    boxes, scores, classes, counts = tf.image.combined_non_max_suppression(
        boxes, scores, limit, limit, iou_threshold, score_threshold, clip_boxes=False
    )
    boxes = convert_format(boxes, source="xyxy", target="xywh")
    return Detections(boxes.numpy(), scores.numpy(), classes.numpy().astype(np.int64), counts.numpy().astype(np.int64))


@keras.utils.register_keras_serializable("hrnet_tf")
class Proposals(keras.layers.Layer):  # type: ignore[misc]
    """Objectness logits (N, A) and deltas (N, A, 4) to the best boxes (N, R, 4) and their scores (N, R).

    Non-maximum suppression is level by level, and the best of all levels remain.
    """

    def __init__(self, image_size: Size, count: int = PROPOSALS, dtype: Any = "float32", **kwargs: Any):
        super().__init__(dtype=dtype, **kwargs)  # half precision cannot tell pixels apart
        if not 1 <= count <= PROPOSALS:
            raise ValueError(f"the number of proposals must be from 1 to {PROPOSALS}, got {count}")
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.count = count
        self.anchors = anchor_boxes(self.image_size)
        self.generator = ROIGenerator(
            "xyxy",
            pre_nms_topk_train=CANDIDATES_IN_TRAINING,
            nms_iou_threshold_train=RPN_IOU,
            post_nms_topk_train=count,
            pre_nms_topk_test=PROPOSALS,
            nms_iou_threshold_test=RPN_IOU,
            post_nms_topk_test=count,
            dtype=dtype,
        )

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> tuple[Any, Any]:
        logits, deltas = map(tf.stop_gradient, inputs)
        boxes = clip_boxes(decode_deltas(self.anchors, deltas, RPN_STDS), self.image_size)
        has_area = tf.reduce_all(boxes[..., 2:] > boxes[..., :2], axis=-1, keepdims=True)
        boxes = tf.where(has_area, boxes, 0.0)  # the generator's suppression drops boxes that are all zeros
        counts = anchor_counts(self.image_size)
        boxes_by_level = dict(enumerate(tf.split(boxes, counts, axis=1)))
        scores_by_level = dict(enumerate(tf.split(tf.sigmoid(logits), counts, axis=1)))
        with _full_precision():  # else the layers that the generator makes round boxes to the global policy's type
            boxes, scores = self.generator(boxes_by_level, scores_by_level, training=training)
        boxes = tf.reshape(boxes, (-1, scores.shape[1], 4))
        return tf.maximum(boxes, 0.0), tf.maximum(scores, 0.0)  # the generator fills up with -1

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "image_size": self.image_size, "count": self.count}


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


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def _normal(stddev: float) -> Any:
    return keras.initializers.RandomNormal(stddev=stddev)  # those of mmdetection
