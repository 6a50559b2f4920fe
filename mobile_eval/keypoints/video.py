"""Poses in a video or from a camera, one person at a time: the whole frame first, then around where the person was.

The next frame's box is that of the last frame's sure keypoints, with room around; where too few are sure, the whole frame again.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, part_path, remove_stale_parts, write_json
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.predictions import SCORE_THRESHOLD, check_finds_keypoints
from mobile_eval.viz.poses import draw_skeleton
from mobile_eval.words import number_of

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
SURE_JOINTS = 4  # fewer do not tell where a person is
ROOM = 0.25  # of the joints' extent, on each side
RATE = 30.0  # frames a second of what does not tell its own, or one that is none
SLOWEST, FASTEST = 0.1, 240.0  # frames a second that cameras take and players show
TIMED = 120  # frames whose times are looked at
AGREE = 0.1  # share by which the rate of a header may differ from that of the frames' times
FINE, BASE = 3, 65.0  # MPEG-4 counts time in 1/65535 s at the finest: three decimals of slower rates, two of faster ones

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class VideoResult:
    """What was written, how many frames of how many (0: not known) it has, and how fast they came: frames a second.

    `header_rate` are the frames a second that the source says it has, `written_rate` those of what was written.
    """

    video: Path
    frames: int
    expected: int
    rate: float
    header_rate: float
    written_rate: float

    def __str__(self) -> str:
        ended = f"; the video ends early, it promises {self.expected}" if self.frames < self.expected else ""
        other = abs(self.written_rate - self.header_rate) > AGREE * self.header_rate
        plays = f"; it plays at {self.written_rate:g} a second, not at the {self.header_rate:g} of its header" if other else ""
        return f"{self.video}: {number_of(self.frames, 'frames')}, {self.rate:.1f} a second{ended}{plays}"


def is_video(source: Path | str) -> bool:
    """Whether that is a video's name, or the number of a camera."""
    return str(source).isdecimal() or Path(source).suffix.lower() in SUFFIXES


def predict_video(
    model: TFLiteModel,
    source: Path | str,
    output: Path | str,
    *,
    frames: int | None = None,
    track: bool = True,
    progress: bool = False,
) -> VideoResult:
    """Draw the pose into every frame of `source`, a video or a camera's number: `STEM_pose.mp4`, and the keypoints as JSON.

    `frames` is how many at most. Without `track` each frame is looked at as a whole. Ctrl-C ends a camera, and what was drawn
    stays; of a file that is interrupted nothing does.
    """
    check_finds_keypoints(model)
    folder = check_output_folder(output)
    capture = _opened(source)
    camera = str(source).isdecimal()
    expected = 0 if camera else max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
    header_rate = _number(capture.get(cv2.CAP_PROP_FPS))
    rate = output_rate(header_rate, None if camera else _timed_rate(source))
    path = folder / f"{'camera' if camera else ''}{Path(source).stem}_pose.mp4"
    found: list[dict[str, Any]] = []
    drawn = _Drawn(path, rate)
    images = tracked(_frames(capture, frames), path.name, frames or expected or None, show=progress)
    begun, done = time.perf_counter(), False
    try:
        for number, keypoints in enumerate(_poses(model, images, drawn, track=track)):
            found.append({"frame": number, "keypoints": keypoints.reshape(-1).tolist()})
        done = True
    except KeyboardInterrupt:
        if not camera:
            raise
        done = True
    finally:
        capture.release()
        drawn.close(keep=done)
    if not found:
        raise HRNetError(f"{source} has no frame that can be read")
    write_json(path.with_suffix(".json"), {"category": model.description.category.to_json(), "frames": found})
    wanted = min(expected, frames) if frames and expected else expected
    return VideoResult(path, len(found), wanted, len(found) / (time.perf_counter() - begun), header_rate, rate)


def _poses(
    model: TFLiteModel, images: Iterator[NDArray[np.uint8]], drawn: _Drawn, *, track: bool
) -> Iterator[NDArray[np.float64]]:
    last = None
    for image in images:
        height, width = image.shape[:2]
        keypoints = predict_box(model, image, box_around(last, (height, width)) if track else (0, 0, width, height))
        drawn.add(draw_skeleton(image, keypoints, model.description.category))
        last = keypoints
        yield keypoints


def box_around(keypoints: NDArray[np.float64] | None, size: tuple[int, int]) -> Box:
    """The box of the sure keypoints (K, 3), with room around, inside a frame of `size`; all of it where they do not tell."""
    height, width = size
    sure = keypoints[keypoints[:, 2] > SCORE_THRESHOLD, :2] if keypoints is not None else np.empty((0, 2))
    if len(sure) < SURE_JOINTS:
        return 0.0, 0.0, float(width), float(height)
    low, high = sure.min(axis=0), sure.max(axis=0)
    low, high = (np.clip(end, 0, [width, height]) for end in (low - ROOM * (high - low), high + ROOM * (high - low)))
    if not np.all(high - low > 1):
        return 0.0, 0.0, float(width), float(height)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def _opened(source: Path | str) -> cv2.VideoCapture:
    if str(source).isdecimal():
        camera = cv2.VideoCapture(int(str(source)))
        if not camera.isOpened():
            raise HRNetError(f"there is no camera {source}, or another program has it")
        return camera
    if not Path(source).is_file():
        raise HRNetError(f"cannot read video {source}: no such file")
    capture: cv2.VideoCapture = cv2.VideoCapture(_name(source))
    if not capture.isOpened():
        raise HRNetError(f"video {source} is damaged or of a format that opencv cannot read")
    return capture


def _name(path: Path | str) -> Any:
    """The path as opencv takes it: as bytes, which its types do not know of. A str that is not UTF-8 ends the process."""
    return os.fsencode(path)


def output_rate(header: float, timed: float | None) -> float:
    """Frames a second to write: those of the header where frames' times agree with it, else the times', else RATE.

    Headers of videos of variable rate say 1000, or what is between the two frames that are closest. What is faster than FASTEST
    is written at RATE, and so in slow motion. Rounded to what MPEG-4 can say.
    """
    likely = [rate for rate in (header, timed) if rate is not None and SLOWEST <= rate <= FASTEST]
    agreeing = timed is None or abs(header - timed) <= AGREE * timed
    rate = RATE if not likely else likely[0] if agreeing else likely[-1]
    return round(rate, FINE if rate <= BASE else FINE - 1)


def _timed_rate(source: Path | str) -> float | None:
    """Frames a second by the times of a video's first frames; None where it tells no times."""
    capture = _opened(source)
    try:
        times: list[float] = []
        while len(times) < TIMED and capture.grab():
            times.append(_number(capture.get(cv2.CAP_PROP_POS_MSEC)))
    finally:
        capture.release()
    length_ms = times[-1] - times[0] if times else 0.0
    return 1000 * (len(times) - 1) / length_ms if length_ms > 0 else None


def _number(value: float) -> float:
    """A property of a capture; 0 where there is none."""
    return value if math.isfinite(value) and value > 0 else 0.0


def _frames(capture: cv2.VideoCapture, most: int | None) -> Iterator[NDArray[np.uint8]]:
    """RGB frames."""
    count = 0
    while most is None or count < most:
        there, image = capture.read()
        if not there:
            return
        count += 1
        yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


class _Drawn:
    """The video that is written, under another name until it is whole."""

    def __init__(self, path: Path, rate: float):
        self.path = path
        self.beside = part_path(path, path.suffix)  # opencv goes by the ending
        remove_stale_parts(path.parent.absolute())
        self.rate = rate
        self.writer: cv2.VideoWriter | None = None
        self.frames = 0

    def add(self, image: NDArray[np.uint8]) -> None:
        if self.writer is None:
            size = (image.shape[1], image.shape[0])
            self.writer = cv2.VideoWriter(_name(self.beside), cv2.VideoWriter.fourcc(*"mp4v"), self.rate, size)
            if not self.writer.isOpened():
                raise HRNetError(f"cannot write {self.path}: opencv has no encoder for it here, or the folder refuses")
        self.writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self, *, keep: bool) -> None:
        """End the video and, with `keep`, give it its name if all of it is there: opencv does not say where a disk is full."""
        if self.writer is None:
            return
        try:
            self.writer.release()
            written = int(cv2.VideoCapture(_name(self.beside)).get(cv2.CAP_PROP_FRAME_COUNT))
            if keep and written < self.frames:
                raise HRNetError(
                    f"cannot write {self.path}: {max(written, 0)} of {self.frames} frames are there; is the disk full?"
                )
            if keep:
                os.replace(self.beside, self.path)
        finally:
            self.beside.unlink(missing_ok=True)
