"""Writing a video and its predictions as JSON lines: both have a temporary name until they are complete."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
from io import TextIOWrapper
from pathlib import Path

import cv2

from mobile_eval.errors import HRNetError
from mobile_eval.files import part_path, remove_stale_parts
from mobile_eval.image.geometry import Image
from mobile_eval.pipeline.frames import opencv_name
from mobile_eval.typed import JsonObject

FFMPEG_LIMIT_S = 600


class VideoFile:
    """A video, and beside it `STEM.jsonl` with one line for each frame.

    Args:
        path: The video.
        rate: Frames per second.

    Attributes:
        path: The video.
        frames: Number of frames that were added.
    """

    def __init__(self, path: Path, rate: float):
        self.path, self.lines_path = path, path.with_suffix(".jsonl")
        self.part = part_path(path, path.suffix)  # opencv chooses the format by the suffix
        self.lines_part = part_path(self.lines_path)
        remove_stale_parts(path.parent.absolute())
        self.rate = rate
        self.writer: cv2.VideoWriter | None = None
        self.lines: TextIOWrapper | None = None
        self.frames = 0

    def add(self, image: Image, line: JsonObject) -> None:
        """Write a frame (H, W, 3), RGB, and its predictions."""
        if self.writer is None:
            size = (image.shape[1], image.shape[0])
            self.writer = cv2.VideoWriter(opencv_name(self.part), cv2.VideoWriter.fourcc(*"mp4v"), self.rate, size)
            if not self.writer.isOpened():
                raise HRNetError(f"cannot write {self.path}: opencv has no encoder for it here, or the folder is not writable")
            self.lines = self.lines_part.open("w", encoding="utf-8")
        self.writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if self.lines is not None:
            self.lines.write(json.dumps(line, allow_nan=False) + "\n")
        self.frames += 1

    def close(self, *, keep: bool, sound: Path | None = None) -> None:
        """Close the files, and with `keep` give them their names if all frames are in: opencv does not report a full disk.

        Args:
            keep: Keep the files, or remove them.
            sound: A video whose sound is copied, if ffmpeg is installed.
        """
        if self.writer is None or self.lines is None:
            return
        try:
            self.writer.release()
            self.lines.close()
            written = int(cv2.VideoCapture(opencv_name(self.part)).get(cv2.CAP_PROP_FRAME_COUNT))
            if keep and written < self.frames:
                raise HRNetError(
                    f"cannot write {self.path}: {max(written, 0)} of {self.frames} frames are in it; is the disk full?"
                )
            if keep:
                if sound is not None:
                    _copy_sound(sound, self.part)
                os.replace(self.part, self.path)
                os.replace(self.lines_part, self.lines_path)
        finally:
            self.part.unlink(missing_ok=True)
            self.lines_part.unlink(missing_ok=True)


def _copy_sound(source: Path, video: Path) -> None:
    """Copy the sound of `source` into `video` by ffmpeg, where it is installed and there is any."""
    program = shutil.which("ffmpeg")
    if program is None:
        return
    joined = video.with_name(f"{video.stem}.sound{video.suffix}")
    inputs = ["-i", str(video), "-i", str(source), "-map", "0:v", "-map", "1:a?", "-c", "copy", "-shortest"]
    try:
        ended = subprocess.run(
            [program, "-nostdin", "-y", "-loglevel", "error", *inputs, str(joined)],
            capture_output=True, text=True, check=False, timeout=FFMPEG_LIMIT_S,
        )  # fmt: skip
        if ended.returncode == 0 and joined.is_file():
            os.replace(joined, video)
        else:
            reason = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
            logging.getLogger(__name__).warning("the video has no sound: ffmpeg failed (%s)", reason)
    except (OSError, subprocess.TimeoutExpired) as error:
        logging.getLogger(__name__).warning("the video has no sound: %s", error)
    finally:
        joined.unlink(missing_ok=True)
