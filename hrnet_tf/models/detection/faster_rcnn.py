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

Its two stages, for training and for export, are `detector_stages`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.models.detection.anchors import BOX_STDS, STRIDES, Size, clip_boxes, decode_deltas
from hrnet_tf.models.detection.box_head import box_head, normal
from hrnet_tf.models.detection.proposals import Proposals
from hrnet_tf.models.detection.roi_align import RoIAlign
from hrnet_tf.models.detection.sizes import DETECTION_ANCHORS, detection_widths, proposal_limits
from hrnet_tf.models.detection.stages import ALIGNED_LEVELS, PROPOSALS_LAYER
from hrnet_tf.models.heads import Branches, feature_pyramid
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError

SIZE_MULTIPLE = STRIDES[len(ALIGNED_LEVELS) - 1]  # the pools to P5 divide; that to P6 may round down (800 pixels: 12 rows)

# mmdetection 2.x: configs/_base_/models/faster_rcnn_r50_fpn.py
SCORE_THRESHOLD = 0.05
BOX_IOU = 0.5
MAX_DETECTIONS = 100


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


def detector_outputs(image: Any, branches: Branches, spec: HRNetSpec, *, proposals: int | None = None) -> dict[str, Any]:
    """What a detector answers for `image` (N, H, W, 3), from the trunk's branches.

    - "proposals" (N, R, 4): corners, best first; zeros where non-maximum suppression left fewer than R
    - "objectness" (N, R): their probability of being an object, 0 for those that fill up
    - "class_logits" (N, R, classes + 1): the background comes last
    - "box_deltas" (N, R, 4 * (classes + 1)): from the proposal to the box, four for each class
    - "rpn_logits" (N, A), "rpn_deltas" (N, A, 4): of the anchors of `anchor_boxes`

    R is `proposals`, 1 to 1000; by default as many as `detector_sizes.proposal_limits` says.
    """
    height, width = image.shape[1:3]
    if min(height, width) < STRIDES[-1] or height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
        raise HRNetError(
            f"input size {height}x{width}: a detector's height and width must be multiples of {SIZE_MULTIPLE}, "
            f"at least {STRIDES[-1]}"
        )
    channels, features = detection_widths(spec)
    levels = feature_pyramid(branches, channels)
    logits, deltas = region_proposal_network(levels, channels)
    candidates, usual = proposal_limits(spec)
    find = Proposals((height, width), proposals or usual, candidates, name=PROPOSALS_LAYER)
    boxes, objectness = find([logits, deltas])
    pooled = RoIAlign(name="box_head_align")([boxes, *(levels[level] for level in ALIGNED_LEVELS)])
    class_logits, box_deltas = box_head(pooled, features, spec.classes)
    return {
        "proposals": boxes,
        "objectness": objectness,
        "class_logits": class_logits,
        "box_deltas": box_deltas,
        "rpn_logits": logits,
        "rpn_deltas": deltas,
    }


def region_proposal_network(levels: Mapping[str, Any], channels: int) -> tuple[Any, Any]:
    """Objectness logits (N, A) and deltas (N, A, 4) of all anchors; the same weights for every level.

    As keras-cv's RPNHead, whose layers have no names of their own and another initialization.
    """
    conv = keras.layers.Conv2D(channels, 3, padding="same", activation="relu", kernel_initializer=normal(0.01), name="rpn_conv")
    objectness = keras.layers.Conv2D(DETECTION_ANCHORS, 1, kernel_initializer=normal(0.01), name="rpn_objectness")
    regression = keras.layers.Conv2D(4 * DETECTION_ANCHORS, 1, kernel_initializer=normal(0.01), name="rpn_deltas")
    logits, deltas = [], []
    for level, maps in levels.items():
        x = conv(maps)
        logits.append(keras.layers.Reshape((-1,), name=f"rpn_{level}_logits")(objectness(x)))
        deltas.append(keras.layers.Reshape((-1, 4), name=f"rpn_{level}_deltas")(regression(x)))
    all_logits = keras.layers.Concatenate(axis=1, name="rpn_all_logits")(logits)
    return all_logits, keras.layers.Concatenate(axis=1, name="rpn_all_deltas")(deltas)


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
    boxes = tf.concat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)
    return Detections(boxes.numpy(), scores.numpy(), classes.numpy().astype(np.int64), counts.numpy().astype(np.int64))
