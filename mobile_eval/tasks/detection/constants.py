"""The constants of detectors, shared by training, conversion and the device.

Sources: of Faster R-CNN on a feature pyramid mmdetection 2.x, `configs/_base_/models/faster_rcnn_r50_fpn.py`; of detectors by
centers Objects as Points (Zhou et al., arXiv 1904.07850).
"""

from __future__ import annotations

import math

from mobile_eval.typed import Size

BOX_VALUES = 4  # numbers of a box

# The feature pyramid
STRIDES = (4, 8, 16, 32, 64)  # of P2 to P6
PYRAMID_LEVELS = len(STRIDES)
BOX_HEAD_LEVELS = 4  # the box head reads P2 to P5


def level_sizes(image_size: Size, *, rounds_up: bool = False) -> list[Size]:
    """Return the (height, width) of P2 to P6 for an image of this (height, width).

    Args:
        image_size: Multiples of the stride of P5.
        rounds_up: Whether P6 is a strided selection from P5, of 13 rows for 800 pixels, in place of means, of 12 rows.
    """
    height, width = image_size
    return [
        (-(-height // stride), -(-width // stride)) if rounds_up else (height // stride, width // stride) for stride in STRIDES
    ]


# Anchors
ANCHOR_SCALE = 8  # an anchor of ratio 1 is 8 strides wide
ANCHOR_RATIOS = (0.5, 1.0, 2.0)  # height / width
ANCHORS_PER_POSITION = len(ANCHOR_RATIOS)

# Box deltas
RPN_STDS = (1.0, 1.0, 1.0, 1.0)
BOX_STDS = (0.1, 0.1, 0.2, 0.2)
MAX_LOG_SCALE = math.log(1000 / 16)  # DeltaXYWHBBoxCoder

# RoIAlign
POOLED_SIZE = 7  # bins per side
BIN_SAMPLES = 2  # per side of a bin, as in the official repository; mmdetection 2.x takes more for large boxes
LEVEL_SCALES = (112.0, 224.0, 448.0)  # a box is read from P3, P4, P5 if the root of its area is at least this (pixels)

# Non-maximum suppression
RPN_IOU = 0.7
BOX_IOU = 0.5
SCORE_THRESHOLD = 0.05
MAX_DETECTIONS = 100  # per image

# Detectors by centers: the outputs of their one file
CENTER_STRIDE = 4
MAX_CENTERS = 500  # per image, before non-maximum suppression
CENTERS, SIZES, OFFSETS = CENTER_OUTPUTS = ("centers", "sizes", "offsets")

BOX_HEAD_SUFFIX = ".boxes"  # detector.tflite goes with detector.boxes.tflite
