"""Boxes over their images, in a colour for each class."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.tasks.detection.boxes import Objects
from mobile_eval.viz.masks import class_colors

TEXT_SCALE = 0.4


def draw_boxes(image: NDArray[np.uint8], found: Objects, names: Sequence[str], least: float = 0.0) -> NDArray[np.uint8]:
    """The image (H, W, 3) RGB with a rectangle, class and score for each object that scores at least `least`."""
    drawn = np.ascontiguousarray(image).copy()
    colors = class_colors(len(names)).tolist()
    thick = max(round(min(image.shape[:2]) / 300), 1)
    for box, score, label in reversed(list(zip(found.boxes, found.scores, found.labels, strict=True))):  # the best on top
        if score < least:
            continue
        left, top, right, bottom = (round(float(value)) for value in (box[0], box[1], box[0] + box[2], box[1] + box[3]))
        cv2.rectangle(drawn, (left, top), (right, bottom), colors[label], thick)
        said = f"{names[label]} {score:.2f}"
        (wide, high), _ = cv2.getTextSize(said, cv2.FONT_HERSHEY_SIMPLEX, TEXT_SCALE, 1)
        base = max(top, high + 2)
        cv2.rectangle(drawn, (left, base - high - 2), (left + wide, base + 1), colors[label], -1)
        cv2.putText(drawn, said, (left, base - 1), cv2.FONT_HERSHEY_SIMPLEX, TEXT_SCALE, (20, 20, 20), 1, cv2.LINE_AA)
    return np.asarray(drawn, np.uint8)
