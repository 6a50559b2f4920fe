"""Options of detectors and videos. The module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobile_eval.options import option

DETECTOR = "Detector"  # heading in --help
MIN_BOX_SCORE, MAX_IOU, MAX_BOXES = 0.3, 0.6, 20


@dataclass(frozen=True)
class DetectorOptions:
    """What finds the boxes, and which of them are used."""

    detector: Path | None = option(
        None,
        "Detector of the boxes: a detect-* file, or any .tflite with TFLite_Detection_PostProcess, as SSD and EfficientDet-Lite.",
        panel=DETECTOR,
    )
    max_iou: float = option(MAX_IOU, "Overlap (IoU) above which the worse of two boxes is removed.", panel=DETECTOR)
    max_boxes: int = option(MAX_BOXES, "Number of boxes of an image, at most: the best ones.", minimum=1, panel=DETECTOR)
