"""Keypoints of one person in a video or from a camera.

The first frame is searched as a whole. The box in each later frame is that of the confident keypoints of the frame before, with a
margin; where too few are confident, the full frame is searched again.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, part_path, remove_stale_parts, write_json
from mobile_eval.image.geometry import Array, Box, Image
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.messages import number_of
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.predictions import SCORE_THRESHOLD, check_finds_keypoints
from mobile_eval.typed import JsonObject, Size
from mobile_eval.viz.poses import draw_skeleton

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
MIN_CONFIDENT = 4  # keypoints; fewer do not locate a person
MARGIN = 0.25  # on each side, of the extent of the keypoints
DEFAULT_RATE = 30.0  # frames per second where the source has no usable rate
MIN_RATE, MAX_RATE = 0.1, 240.0  # frames per second that cameras take and players show
TIMED_FRAMES = 120  # frames whose times are read
RATE_TOLERANCE = 0.1  # relative difference between the rate of the header and that of the frame times
DECIMALS, BASE_RATE = 3, 65.0  # MPEG-4 counts time in 1/65535 s at the finest: three decimals of slower rates, two of faster ones


@dataclass(frozen=True)
class VideoResult:
    """What `predict_video` wrote.

    Args:
        video: The video that was written.
        frames: Number of its frames.
        expected: Number of frames that were expected; 0 if unknown.
        rate: Frames processed per second.
        header_rate: Frames per second by the header of the source; 0 if unknown.
        written_rate: Frames per second of the video that was written.
    """

    video: Path
    frames: int
    expected: int
    rate: float
    header_rate: float
    written_rate: float

    def __str__(self) -> str:
        early = f"; the source ends early, its header says {self.expected}" if self.frames < self.expected else ""
        differs = abs(self.written_rate - self.header_rate) > RATE_TOLERANCE * self.header_rate
        plays = f"; plays at {self.written_rate:g} per second, where the header says {self.header_rate:g}" if differs else ""
        return f"{self.video}: {number_of(self.frames, 'frames')}, {self.rate:.1f} per second{early}{plays}"


def is_video(source: Path | str) -> bool:
    """Whether `source` has the name of a video file, or is the number of a camera."""
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
    """Predict keypoints in every frame; write `STEM_pose.mp4` and, as JSON, `STEM_pose.json`.

    Ctrl-C ends the recording of a camera, and what was written is kept; if a video file is interrupted, nothing is kept.

    Args:
        model: A pose or landmarks model.
        source: A video file, or the number of a camera.
        output: Folder for the results.
        frames: Maximum number of frames; None for all.
        track: Search around the keypoints of the frame before, or else the full frame every time.
        progress: Show a progress bar.
    """
    check_finds_keypoints(model)
    folder = check_output_folder(output)
    capture = _open(source)
    camera = str(source).isdecimal()
    expected = 0 if camera else max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
    header_rate = _positive(capture.get(cv2.CAP_PROP_FPS))
    rate = output_rate(header_rate, None if camera else _timed_rate(source))
    path = folder / f"{'camera' if camera else ''}{Path(source).stem}_pose.mp4"
    predictions: list[JsonObject] = []
    video = _VideoFile(path, rate)
    images = tracked(_frames(capture, frames), path.name, frames or expected or None, show=progress)
    start, complete = time.perf_counter(), False
    try:
        for number, keypoints in enumerate(_predict_frames(model, images, video, track=track)):
            predictions.append({"frame": number, "keypoints": keypoints.reshape(-1).tolist()})
        complete = True
    except KeyboardInterrupt:
        if not camera:
            raise
        complete = True
    finally:
        capture.release()
        video.close(keep=complete)
    if not predictions:
        raise HRNetError(f"{source} has no frame that can be read")
    write_json(path.with_suffix(".json"), {"category": model.description.category.to_json(), "frames": predictions})
    expected = min(expected, frames) if frames and expected else expected
    return VideoResult(path, len(predictions), expected, len(predictions) / (time.perf_counter() - start), header_rate, rate)


def _predict_frames(model: TFLiteModel, images: Iterator[Image], video: _VideoFile, *, track: bool) -> Iterator[Array]:
    """Yield the keypoints (K, 3) of each frame after it is drawn and written."""
    keypoints = None
    for image in images:
        height, width = image.shape[:2]
        box = box_around(keypoints if track else None, (height, width))
        keypoints = predict_box(model, image, box)
        video.add(draw_skeleton(image, keypoints, model.description.category))
        yield keypoints


def box_around(keypoints: Array | None, size: Size) -> Box:
    """Return the box to search, given the keypoints of the frame before.

    Args:
        keypoints: Keypoints (K, 3): x, y and score; None for the first frame.
        size: Height and width of the frame.

    Returns:
        The box (x, y, width, height) of the confident keypoints with a margin, inside the frame; the full frame if too few are
        confident.
    """
    height, width = size
    confident = keypoints[keypoints[:, 2] > SCORE_THRESHOLD, :2] if keypoints is not None else np.empty((0, 2))
    if len(confident) < MIN_CONFIDENT:
        return 0.0, 0.0, float(width), float(height)
    low, high = confident.min(axis=0), confident.max(axis=0)
    low, high = (np.clip(end, 0, [width, height]) for end in (low - MARGIN * (high - low), high + MARGIN * (high - low)))
    if not np.all(high - low > 1):
        return 0.0, 0.0, float(width), float(height)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def _open(source: Path | str) -> cv2.VideoCapture:
    if str(source).isdecimal():
        camera = cv2.VideoCapture(int(str(source)))
        if not camera.isOpened():
            raise HRNetError(f"there is no camera {source}, or another program uses it")
        return camera
    if not Path(source).is_file():
        raise HRNetError(f"cannot read video {source}: no such file")
    capture = cv2.VideoCapture(_opencv_name(source))
    if not capture.isOpened():
        raise HRNetError(f"video {source} is damaged, or of a format that opencv cannot read")
    return capture


def _opencv_name(path: Path | str) -> str:
    """Return the path as text, or bytes if it is not UTF-8: opencv 4.12 takes these, while text would abort the process."""
    name = os.fsencode(path)
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name  # type: ignore[return-value]


def output_rate(header: float, timed: float | None) -> float:
    """Choose the frame rate of the video to write, rounded to what MPEG-4 can hold.

    The header's rate is used if the frame times agree with it, else that of the times: headers of videos of variable rate have
    1000, or the rate of the two closest frames. A rate outside of MIN_RATE to MAX_RATE is not usable: a fast video becomes slow
    motion.

    Args:
        header: Frames per second by the header; 0 if unknown.
        timed: Frames per second by the times of the frames; None if unknown.
    """
    usable = [rate for rate in (header, timed) if rate is not None and MIN_RATE <= rate <= MAX_RATE]
    agreeing = timed is None or abs(header - timed) <= RATE_TOLERANCE * timed
    rate = DEFAULT_RATE if not usable else usable[0] if agreeing else usable[-1]
    return round(rate, DECIMALS if rate <= BASE_RATE else DECIMALS - 1)


def _timed_rate(source: Path | str) -> float | None:
    """Return the frames per second by the times of a video's first frames; None if it has no times."""
    capture = _open(source)
    try:
        times: list[float] = []
        while len(times) < TIMED_FRAMES and capture.grab():
            times.append(_positive(capture.get(cv2.CAP_PROP_POS_MSEC)))
    finally:
        capture.release()
    length_ms = times[-1] - times[0] if times else 0.0
    return 1000 * (len(times) - 1) / length_ms if length_ms > 0 else None


def _positive(value: float) -> float:
    """Return a property of a capture, or 0 if it has none."""
    return value if math.isfinite(value) and value > 0 else 0.0


def _frames(capture: cv2.VideoCapture, limit: int | None) -> Iterator[Image]:
    """Yield RGB frames (H, W, 3)."""
    count = 0
    while limit is None or count < limit:
        success, image = capture.read()
        if not success:
            return
        count += 1
        yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


class _VideoFile:
    """A video that has a temporary name until it is complete."""

    def __init__(self, path: Path, rate: float):
        self.path = path
        self.part = part_path(path, path.suffix)  # opencv chooses the format by the suffix
        remove_stale_parts(path.parent.absolute())
        self.rate = rate
        self.writer: cv2.VideoWriter | None = None
        self.frames = 0

    def add(self, image: Image) -> None:
        """Write a frame (H, W, 3), RGB."""
        if self.writer is None:
            size = (image.shape[1], image.shape[0])
            self.writer = cv2.VideoWriter(_opencv_name(self.part), cv2.VideoWriter.fourcc(*"mp4v"), self.rate, size)
            if not self.writer.isOpened():
                raise HRNetError(f"cannot write {self.path}: opencv has no encoder for it here, or the folder is not writable")
        self.writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self, *, keep: bool) -> None:
        """Close the video, and with `keep` give it its name if all frames are in it: opencv does not report a full disk."""
        if self.writer is None:
            return
        try:
            self.writer.release()
            written = int(cv2.VideoCapture(_opencv_name(self.part)).get(cv2.CAP_PROP_FRAME_COUNT))
            if keep and written < self.frames:
                raise HRNetError(
                    f"cannot write {self.path}: {max(written, 0)} of {self.frames} frames are in it; is the disk full?"
                )
            if keep:
                os.replace(self.part, self.path)
        finally:
            self.part.unlink(missing_ok=True)
