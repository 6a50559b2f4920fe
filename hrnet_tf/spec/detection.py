"""Sizes of a detector's head, from its spec."""

from __future__ import annotations

from typing import TypeAlias

from hrnet_tf.spec.baselines.faster_rcnn import PYRAMID_CHANNELS, FasterRCNNSpec
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.tasks.detection.constants import level_sizes
from mobile_eval.typed import Size

DENSE_FEATURES = 1024
FEATURES_PER_CHANNEL = 4  # dense features per channel of the pyramid, as in the paper
PAPER_PROPOSALS = 500  # for which the paper counts multiply-adds
# mmdetection 2.x: configs/_base_/models/faster_rcnn_r50_fpn.py
PROPOSALS = 1000
CANDIDATES = 1000  # per level, before non-maximum suppression
# Of a detector whose spec sets `head_width`
SMALL_PROPOSALS = 100
SMALL_CANDIDATES = 400


DetectorSpec: TypeAlias = HRNetSpec | FasterRCNNSpec


def detection_widths(spec: DetectorSpec) -> tuple[int, int]:
    """Number of channels of the pyramid's maps, and of dense features in the box head."""
    if spec.head_width is None:
        return PYRAMID_CHANNELS, DENSE_FEATURES
    return spec.head_width, FEATURES_PER_CHANNEL * spec.head_width


def proposal_limits(spec: DetectorSpec) -> tuple[int, int]:
    """Number of candidates per level before non-maximum suppression, and of proposals that the box head reads."""
    return (CANDIDATES, PROPOSALS) if spec.head_width is None else (SMALL_CANDIDATES, SMALL_PROPOSALS)


def rounds_up(spec: DetectorSpec) -> bool:
    """Whether the size of P6 is rounded up, see `mobile_eval.tasks.detection.constants.level_sizes`."""
    return isinstance(spec, FasterRCNNSpec)


def pyramid_sizes(spec: DetectorSpec) -> list[Size]:
    """(height, width) of P2 to P6."""
    return level_sizes(spec.input_size, rounds_up=rounds_up(spec))
