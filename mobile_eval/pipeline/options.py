"""Options of detectors and videos. The module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.options import option

DETECTOR, VIDEO = "Detector", "Video"  # headings in --help
MIN_BOX_SCORE, MAX_IOU, MAX_BOXES = 0.3, 0.6, 20


@dataclass(frozen=True)
class DetectorOptions:
    """What finds the boxes, and which of them are used."""

    detector: Path | None = option(
        None,
        "Detector of the boxes: a find-* or detect-* file, or any .tflite with TFLite_Detection_PostProcess, such as SSD.",
        panel=DETECTOR,
    )
    max_iou: float = option(MAX_IOU, "Overlap (IoU) above which the worse of two boxes is removed.", panel=DETECTOR)
    max_boxes: int = option(MAX_BOXES, "Number of boxes of an image, at most: the best ones.", minimum=1, panel=DETECTOR)


@dataclass(frozen=True)
class VideoOptions:
    """How a video, camera or stream is read, and how people are followed in it."""

    frames: int | None = option(None, "Number of frames, at most.", minimum=1, panel=VIDEO)
    detect_every: int = option(1, "Number of frames from one run of the detector to the next.", minimum=1, panel=VIDEO)
    whole_frame: bool = option(
        False, "Use full frames, or the detector in each; do not search around the frame before.", panel=VIDEO
    )
    first_box: tuple[float, ...] = option(
        (), "Without a detector, box x,y,width,height of the person in the first frame.", panel=VIDEO
    )
    smooth: bool = option(False, "Smooth keypoints over time (One-Euro filter).", panel=VIDEO)
    save_every: int | None = option(
        None, "Number of frames after which the files are completed, and new ones begun.", minimum=1, panel=VIDEO
    )
    show: bool = option(False, "Show a window; the key q ends the recording.", panel=VIDEO)
    timeout: float = option(10.0, "Seconds without a frame after which a stream has stalled.", panel=VIDEO)

    def __post_init__(self) -> None:
        if self.first_box and (len(self.first_box) != 4 or min(self.first_box[2:]) <= 0):
            values = ",".join(f"{value:g}" for value in self.first_box)
            raise HRNetError(f"`first_box` must be x,y,width,height with a size above 0, got {values}")
        if not self.timeout > 0:
            raise HRNetError(f"`timeout` must be above 0, got {self.timeout:g}")
