"""Which objects of a detector go on: their class, their score, no duplicates, and a part inside the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mobile_eval.errors import HRNetError
from mobile_eval.pipeline.detectors import ObjectDetector
from mobile_eval.pipeline.options import MAX_BOXES, MAX_IOU, MIN_BOX_SCORE
from mobile_eval.tasks.detection.boxes import Objects, non_maximum_suppression
from mobile_eval.typed import Size

PERSON = "person"
LISTED = 8  # classes in a message
MIN_SIDE = 2.0  # pixels of a box inside the image


@dataclass(frozen=True)
class BoxSelection:
    """Which boxes of a detector are used.

    Args:
        min_score: Lowest score.
        max_iou: Highest intersection over union of two boxes; of two that overlap more, the worse is removed.
        max_boxes: Highest number of boxes, the best ones.

    Raises:
        HRNetError: A value is out of range.
    """

    min_score: float = MIN_BOX_SCORE
    max_iou: float = MAX_IOU
    max_boxes: int = MAX_BOXES

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise HRNetError(f"`min_score` must be from 0 to 1, got {self.min_score:g}")
        if not 0 < self.max_iou <= 1:
            raise HRNetError(f"`max_iou` must be above 0 and at most 1, got {self.max_iou:g}")
        if self.max_boxes < 1:
            raise HRNetError(f"`max_boxes` must be at least 1, got {self.max_boxes}")

    def select(self, objects: Objects, label: int, image_size: Size) -> Objects:
        """Select the objects of a class.

        Args:
            objects: The objects of a detector.
            label: Index of the class.
            image_size: (height, width) of the image. Boxes are cut at its border.

        Returns:
            The selected objects, best first.
        """
        height, width = image_size
        boxes = np.asarray(objects.boxes, np.float64).reshape(-1, 4)
        low = np.clip(boxes[:, :2], 0, (width, height))
        high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, (width, height))
        inside = np.all(high - low >= MIN_SIDE, axis=1)
        chosen = np.flatnonzero(inside & (objects.labels == label) & (objects.scores >= self.min_score))
        chosen = chosen[np.argsort(-objects.scores[chosen], kind="stable")]
        corners = np.concatenate([low, high], axis=1)[chosen]
        chosen = chosen[non_maximum_suppression(np.asarray(corners, np.float32), self.max_iou, self.max_boxes)]
        cut = np.concatenate([low, high - low], axis=1)[chosen]
        return Objects(np.asarray(cut, np.float32), objects.scores[chosen], objects.labels[chosen])


def class_label(detector: ObjectDetector, category: str | None, default: str) -> int:
    """Find the label of the class whose boxes are used.

    Without names of classes in the file, `person` is class 0, as in all detectors of COCO.

    Args:
        detector: The detector.
        category: Name or index of the class; None for the only class, or the one that is named `default`.
        default: Name of what the model in the boxes is for, such as "person".

    Returns:
        The label.

    Raises:
        HRNetError: The detector has no such class.
    """
    names = [name.lower() for name in detector.classes]
    name = (category or default).strip().lower()
    if name in names:
        return names.index(name)
    if category is None and len(names) == 1:
        return 0
    if not names and name == PERSON:
        return 0
    if category is not None and name.isdecimal() and (not names or int(name) < len(names)):
        return int(name)
    known = ", ".join(detector.classes[:LISTED]) + (", ..." if len(names) > LISTED else "")
    classes = f"its classes are {known}" if names else "it does not name its classes: give the index of one"
    raise HRNetError(f"`detector` {detector.path.name} has no class {category or default!r}; {classes} (`category`)")
