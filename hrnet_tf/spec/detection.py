"""Sizes of a detector's head, from its spec."""

from __future__ import annotations

from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.tasks.detection.constants import PYRAMID_LEVELS
from mobile_eval.typed import Size

PYRAMID_CHANNELS = 256
DENSE_FEATURES = 1024
FEATURES_PER_CHANNEL = 4  # dense features per channel of the pyramid, as in the paper
PAPER_PROPOSALS = 500  # for which the paper counts multiply-adds
# mmdetection 2.x: configs/_base_/models/faster_rcnn_r50_fpn.py
PROPOSALS = 1000
CANDIDATES = 1000  # per level, before non-maximum suppression
# Of a detector whose spec sets `head_width`
SMALL_PROPOSALS = 100
SMALL_CANDIDATES = 400


def detection_widths(spec: HRNetSpec) -> tuple[int, int]:
    """Number of channels of the pyramid's maps, and of dense features in the box head."""
    if spec.head_width is None:
        return PYRAMID_CHANNELS, DENSE_FEATURES
    return spec.head_width, FEATURES_PER_CHANNEL * spec.head_width


def proposal_limits(spec: HRNetSpec) -> tuple[int, int]:
    """Number of candidates per level before non-maximum suppression, and of proposals that the box head reads."""
    return (CANDIDATES, PROPOSALS) if spec.head_width is None else (SMALL_CANDIDATES, SMALL_PROPOSALS)


def pyramid_sizes(spec: HRNetSpec) -> list[Size]:
    """(height, width) of P2 to P6."""
    height, width = spec.resolution(0)
    return [(height // 2**step, width // 2**step) for step in range(PYRAMID_LEVELS)]
