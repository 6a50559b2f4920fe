"""What the tasks of keypoints have in common: people or faces in boxes of a COCO keypoint file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.keypoints import KeypointDataset, KeypointInstance, load_keypoint_dataset
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.image.preprocess import instance_crops


def load_keypoints(source: DataSource) -> KeypointDataset:
    """The persons or faces of an annotation file."""
    return load_keypoint_dataset(
        source.path("annotations"),
        source.path("images"),
        category=source.category,
        strict=source.strict,
        expected=source.expected,
        exif=source.exif,
    )


def keypoint_inputs(
    instances: Sequence[KeypointInstance], size: tuple[int, int], geometry: Geometry = STANDARD
) -> NDArray[np.uint8]:
    """Crops (N, height, width, 3) around their boxes."""
    return instance_crops(instances, size, geometry)[0]
