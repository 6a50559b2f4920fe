"""Faster R-CNN on a feature pyramid, as mmdetection 2.x builds and decodes it.

Inside the network a box is its corners x1, y1, x2, y2 in pixels of the input, and deltas are as in
`hrnet_tf.models.detection.anchors`. Decoded detections are COCO xywh. Classes are 0 to 79, as in mmdetection 2.x, and the
background comes last.

Weights of mmdetection 2.x fit channel by channel (a convolution's (out, in, h, w) transposed to (h, w, in, out), a dense layer's
(out, in) to (in, out)), with two exceptions:

- `box_head_dense1` reads the pooled maps flattened as (row, column, channel), `bbox_head.shared_fcs.0` as
  (channel, row, column): weight.reshape(1024, 256, 7, 7).transpose(2, 3, 1, 0).reshape(12544, 1024).
- `box_head_deltas` has four deltas for each of 81 classes, as the paper counts; `bbox_head.fc_reg` of 2.x has
  320 outputs, which are the first 320 here; the last four, for the background, are never read. (In 1.x the
  background is the first class, and there are 324.)

`rpn_objectness` has one channel per anchor, in the order of the aspect ratios; `rpn_deltas` has the four deltas of the
first anchor, then those of the second; `box_head_deltas` has those of class 0, then those of class 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasLayer, Tensor
from hrnet_tf.models.detection.anchors import clip_boxes, decode_deltas
from hrnet_tf.models.detection.proposals import Proposals
from hrnet_tf.models.detection.roi_align import RoIAlign
from hrnet_tf.models.detection.two_stage import ALIGN_LAYER, ALIGNED_LEVELS, BOX_HEAD_LAYERS, PROPOSALS_LAYER
from hrnet_tf.spec.detection import DetectorSpec, detection_widths, proposal_limits, rounds_up
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.detection.constants import (
    ANCHORS_PER_POSITION,
    BOX_HEAD_LEVELS,
    BOX_IOU,
    BOX_STDS,
    MAX_DETECTIONS,
    POOLED_SIZE,
    SCORE_THRESHOLD,
    STRIDES,
)
from mobile_eval.typed import Size

SIZE_MULTIPLE = STRIDES[BOX_HEAD_LEVELS - 1]  # the pools to P5 divide; that to P6 may round down (800 pixels: 12 rows)


@dataclass(frozen=True)
class Detections:
    """Detections of each image, best first; rows beyond an image's count are zeros.

    Attributes:
        boxes: COCO xywh in pixels of the input, (N, K, 4).
        scores: Probabilities (N, K).
        classes: 0-based class indices (N, K).
        counts: Number of detections of each image (N,).
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    counts: NDArray[np.int64]


def check_image_size(size: Size) -> None:
    """Raise HRNetError unless images of a (height, width) have a pyramid."""
    if min(size) < STRIDES[-1] or any(side % SIZE_MULTIPLE for side in size):
        raise HRNetError(
            f"`input_size` of a detector must be multiples of {SIZE_MULTIPLE}, at least {STRIDES[-1]}, got {size[0]}x{size[1]}"
        )


def detector_outputs(
    image: Tensor, levels: Mapping[str, Tensor], spec: DetectorSpec, *, proposals: int | None = None
) -> dict[str, Tensor]:
    """Build the head of a detector.

    Args:
        image: The model's input (N, H, W, 3).
        levels: The maps of the feature pyramid, "P2" (N, H/4, W/4, C) to "P6".
        spec: The spec of the network.
        proposals: Number of proposals R, 1 to 1000; None for that of `hrnet_tf.spec.detection.proposal_limits`.

    Returns:
        The outputs by name:

        - "proposals" (N, R, 4): corners, best first; zeros where non-maximum suppression left fewer than R
        - "objectness" (N, R): probability of being an object, 0 for padding
        - "class_logits" (N, R, classes + 1): the background comes last
        - "box_deltas" (N, R, 4 * (classes + 1)): from the proposal to the box, four for each class
        - "rpn_logits" (N, A), "rpn_deltas" (N, A, 4): for the anchors of `anchor_boxes`
    """
    height, width = image.shape[1:3]
    channels, features = detection_widths(spec)
    logits, deltas = _region_proposal_network(levels, channels)
    candidates, default_count = proposal_limits(spec)
    select = Proposals((height, width), proposals or default_count, candidates, rounds_up(spec), name=PROPOSALS_LAYER)
    boxes, objectness = select([logits, deltas])
    pooled = RoIAlign(name=ALIGN_LAYER)([boxes, *(levels[level] for level in ALIGNED_LEVELS)])
    class_logits, box_deltas = _box_head(pooled, features, spec.classes)
    return {
        "proposals": boxes,
        "objectness": objectness,
        "class_logits": class_logits,
        "box_deltas": box_deltas,
        "rpn_logits": logits,
        "rpn_deltas": deltas,
    }


def _region_proposal_network(levels: Mapping[str, Tensor], channels: int) -> tuple[Tensor, Tensor]:
    """Objectness logits (N, A) and deltas (N, A, 4) of all anchors; all levels share the weights.

    keras-cv's RPNHead is the same with other initial weights, but its layers cannot be named.
    """
    conv = keras.layers.Conv2D(channels, 3, padding="same", activation="relu", kernel_initializer=_normal(0.01), name="rpn_conv")
    objectness = _rpn_output(ANCHORS_PER_POSITION, "rpn_objectness")
    regression = _rpn_output(4 * ANCHORS_PER_POSITION, "rpn_deltas")
    logits, deltas = [], []
    for level, maps in levels.items():
        x = conv(maps)
        logits.append(keras.layers.Reshape((-1,), name=f"rpn_{level}_logits")(objectness(x)))
        deltas.append(keras.layers.Reshape((-1, 4), name=f"rpn_{level}_deltas")(regression(x)))
    all_logits = keras.layers.Concatenate(axis=1, name="rpn_all_logits")(logits)
    return all_logits, keras.layers.Concatenate(axis=1, name="rpn_all_deltas")(deltas)


def _rpn_output(channels: int, name: str) -> KerasLayer:
    return keras.layers.Conv2D(channels, 1, kernel_initializer=_normal(0.01), name=name)


def _box_head(pooled: Tensor, features: int, classes: int) -> tuple[Tensor, Tensor]:
    """Class logits (N, R, classes + 1) and deltas (N, R, 4 * (classes + 1)) of pooled features (N, R, 7, 7, C)."""
    dense1, dense2, logits, deltas = BOX_HEAD_LAYERS
    x = keras.layers.Reshape((-1, pooled.shape[-1] * POOLED_SIZE**2), name="box_head_flatten")(pooled)
    x = keras.layers.Dense(features, "relu", name=dense1)(x)
    x = keras.layers.Dense(features, "relu", name=dense2)(x)
    class_logits = keras.layers.Dense(classes + 1, kernel_initializer=_normal(0.01), name=logits)(x)
    return class_logits, keras.layers.Dense(4 * (classes + 1), kernel_initializer=_normal(0.001), name=deltas)(x)


def _normal(stddev: float) -> KerasLayer:
    """The initializer of mmdetection's heads."""
    return keras.initializers.RandomNormal(stddev=stddev)


def decode_detections(
    outputs: Mapping[str, Tensor],
    image_size: Size,
    *,
    score_threshold: float = SCORE_THRESHOLD,
    iou_threshold: float = BOX_IOU,
    limit: int = MAX_DETECTIONS,
) -> Detections:
    """Decode the outputs of a detector, with non-maximum suppression for each class.

    keras-cv's MultiClassNonMaxSuppression takes one box for all classes; here each class has its own.

    Args:
        outputs: The outputs of `detector_outputs`.
        image_size: (height, width) of the input in pixels.
        score_threshold: Least probability of a detection.
        iou_threshold: Boxes that overlap a better one by more than this are dropped.
        limit: Largest number of detections per image.
    """
    names = ("proposals", "objectness", "class_logits", "box_deltas")
    proposals, objectness, logits, deltas = (tf.cast(outputs[name], tf.float32) for name in names)
    scores = tf.where(objectness[..., None] > 0, tf.nn.softmax(logits)[..., :-1], 0.0)
    deltas = tf.reshape(deltas, [*tf.unstack(tf.shape(logits)), 4])[..., :-1, :]
    boxes = clip_boxes(decode_deltas(proposals[:, :, None], deltas, BOX_STDS), image_size)
    boxes, scores, classes, counts = tf.image.combined_non_max_suppression(
        boxes, scores, limit, limit, iou_threshold, score_threshold, clip_boxes=False
    )
    boxes = tf.concat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)
    return Detections(boxes.numpy(), scores.numpy(), classes.numpy().astype(np.int64), counts.numpy().astype(np.int64))
