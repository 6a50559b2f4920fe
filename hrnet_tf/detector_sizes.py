"""How wide a detector's head is and how many boxes it looks at, from its spec."""

from __future__ import annotations

from hrnet_tf.spec import DETECTION_FEATURES, PYRAMID_CHANNELS, SMALL_PROPOSALS, HRNetSpec

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
