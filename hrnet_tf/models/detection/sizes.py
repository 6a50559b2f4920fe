"""How wide a detector's head is and how many boxes it looks at, from its spec."""

from __future__ import annotations

from hrnet_tf.spec.network import HRNetSpec

PYRAMID_CHANNELS = 256
PYRAMID_LEVELS = 5  # P2 to P6, strides 4 to 64
DETECTION_ANCHORS = 3  # aspect ratios 1/2, 1, 2 at each place of each level
DETECTION_POOLED_SIZE = 7
DETECTION_FEATURES = 1024
PAPER_PROPOSALS = 500  # those for which the paper counts multiply-adds
SMALL_PROPOSALS = 100  # those that a detector with a head width of its own looks at
# mmdetection 2.x: configs/_base_/models/faster_rcnn_r50_fpn.py
PROPOSALS = 1000
CANDIDATES = 1000  # of each level, before non-maximum suppression
SMALL_CANDIDATES = 400
FEATURES_SHARE = 4  # dense features of each of the pyramid's channels, as in the paper


def detection_widths(spec: HRNetSpec) -> tuple[int, int]:
    """Channels of the pyramid's maps, and dense features of the box head."""
    if spec.head_width is None:
        return PYRAMID_CHANNELS, DETECTION_FEATURES
    return spec.head_width, FEATURES_SHARE * spec.head_width


def proposal_limits(spec: HRNetSpec) -> tuple[int, int]:
    """Best anchors of each level that suppression looks at, and proposals of all levels that the box head looks at."""
    return (CANDIDATES, PROPOSALS) if spec.head_width is None else (SMALL_CANDIDATES, SMALL_PROPOSALS)
