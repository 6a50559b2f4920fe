"""Frames of videos, cameras and network streams, with their times.

OpenCV turns the frames of rotated videos upright. A stream that stalls, and a camera that goes away, end with what they sent.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Image

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
STREAMS = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "udp://", "tcp://", "srt://")
DEFAULT_RATE = 30.0  # frames per second where the source has no usable rate
MIN_RATE, MAX_RATE = 0.1, 240.0  # frames per second that cameras take and players show
TIMED_FRAMES = 120  # frames whose times are read
RATE_TOLERANCE = 0.1  # relative difference between the rate of the header and that of the frame times
DECIMALS, BASE_RATE = 3, 65.0  # MPEG-4 counts time in 1/65535 s at the finest: three decimals of slower rates, two of faster ones
TIMEOUT_S = 10.0  # without a frame of a stream
STALLED = 0.9  # share of the time-out after which a failed read counts as a stall


class Frame(NamedTuple):
    """A frame (H, W, 3), RGB, and its time in seconds since the first one."""

    image: Image
    time_s: float


def is_stream(source: Path | str) -> bool:
    """Whether `source` is the address of a network stream."""
    return str(source).lower().startswith(STREAMS) or stream_address(source) is not None


def stream_address(source: Path | str) -> str | None:
    """The address of a stream; None for another source. A `Path` has lost one of the two slashes."""
    text = str(source)
    for start in STREAMS:
        if text.lower().startswith(start):
            return text
        if text.lower().startswith(start[:-1]):
            return f"{text[: len(start) - 1]}/{text[len(start) - 1 :]}"
    return None


def is_camera(source: Path | str) -> bool:
    """Whether `source` is the number of a camera."""
    return str(source).isdecimal()


def is_video(source: Path | str) -> bool:
    """Whether `source` is the name of a video file, the number of a camera, or the address of a stream."""
    return is_camera(source) or is_stream(source) or Path(source).suffix.lower() in SUFFIXES


@dataclass
class VideoSource:
    """A video that is being read.

    Args:
        source: A video file, the number of a camera, or the address of a stream.
        timeout_s: Seconds without a frame after which a stream has stalled.

    Attributes:
        ended_early: Why the frames ended, for a stream that stalled or a camera that went away; None otherwise.

    Raises:
        HRNetError: The source cannot be opened.
    """

    source: Path | str
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        self.ended_early: str | None = None
        self._capture = open_capture(self.source, self.timeout_s)

    @property
    def is_live(self) -> bool:
        """Whether it is a camera or a stream, which have no end."""
        return is_camera(self.source) or is_stream(self.source)

    @property
    def expected(self) -> int:
        """Number of frames by the header; 0 if unknown."""
        return 0 if self.is_live else max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    @property
    def header_rate(self) -> float:
        """Frames per second by the header; 0 if unknown."""
        return _positive(self._capture.get(cv2.CAP_PROP_FPS))

    @property
    def rate(self) -> float:
        """Frames per second to write."""
        return output_rate(self.header_rate, None if self.is_live else _timed_rate(self.source))

    def frames(self, limit: int | None) -> Iterator[Frame]:
        """Yield the frames.

        Args:
            limit: Number of frames, at most; None for all.
        """
        count, begun, rate = 0, time.perf_counter(), self.header_rate or DEFAULT_RATE
        first_ms: float | None = None
        last_s = -1.0
        while limit is None or count < limit:
            asked_s = time.perf_counter()
            success, image = self._capture.read()
            if not success:
                self._note_end(count, time.perf_counter() - asked_s)
                return
            stamp_ms = _positive(self._capture.get(cv2.CAP_PROP_POS_MSEC))
            first_ms = stamp_ms if first_ms is None else first_ms
            now_s = time.perf_counter() - begun if self.is_live else (stamp_ms - first_ms) / 1000
            now_s = now_s if now_s > last_s else last_s + 1 / rate  # without times, frames are as far apart as the header says
            last_s, count = now_s, count + 1
            yield Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), now_s)

    def close(self) -> None:
        """Release the camera or file."""
        self._capture.release()

    def _note_end(self, count: int, waited_s: float) -> None:
        if is_camera(self.source):
            self.ended_early = f"camera {self.source} sends no more frames: was it unplugged?"
        elif is_stream(self.source) and waited_s >= STALLED * self.timeout_s:
            self.ended_early = f"stream {stream_address(self.source)} sent no frame for {self.timeout_s:g} s"


def open_capture(source: Path | str, timeout_s: float = TIMEOUT_S) -> cv2.VideoCapture:
    """Open a video by opencv; HRNetError where this fails."""
    if is_camera(source):
        camera = cv2.VideoCapture(int(str(source)))
        if not camera.isOpened():
            raise HRNetError(f"there is no camera {source}, or another program uses it")
        return camera
    address = stream_address(source)
    if address is not None:
        limit_ms = round(1000 * timeout_s)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit_ms]
        stream = cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)
        if not stream.isOpened():
            raise HRNetError(f"cannot open stream {address}: nothing answers within {timeout_s:g} s, or it is no video")
        return stream
    if not Path(source).is_file():
        raise HRNetError(f"cannot read video {source}: no such file")
    capture = cv2.VideoCapture(opencv_name(source))
    if not capture.isOpened():
        raise HRNetError(f"video {source} is damaged, or of a format that opencv cannot read")
    return capture


def opencv_name(path: Path | str) -> str:
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
    capture = open_capture(source)
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
