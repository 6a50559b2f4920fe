"""Predictions in every frame of a video, of a camera or of a network stream, for every task."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import cv2

from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder
from mobile_eval.image.geometry import Image
from mobile_eval.messages import number_of
from mobile_eval.pipeline.frames import RATE_TOLERANCE, TIMEOUT_S, Frame, VideoSource, is_camera, stream_address
from mobile_eval.pipeline.people_in_video import Following, PeopleInVideo
from mobile_eval.pipeline.pipeline import People
from mobile_eval.pipeline.predictors import KeypointPredictor, Prediction, Predictor
from mobile_eval.pipeline.video_file import VideoFile
from mobile_eval.progress import tracked
from mobile_eval.typed import JsonObject

QUIT = ord("q")
NO_WINDOW = "`show` needs a display, and opencv with windows (`pip install opencv-python` in place of opencv-python-headless)"


@dataclass(frozen=True)
class VideoResult:
    """What `predict_video` wrote.

    Args:
        videos: The videos that were written: one, or one for every `save_every` frames. Each has JSON lines beside it.
        frames: Number of their frames.
        expected: Number of frames that were expected; 0 if unknown.
        rate: Frames processed per second.
        header_rate: Frames per second by the header of the source; 0 if unknown.
        written_rate: Frames per second of the videos that were written.
        identities: Number of people with an identity of their own; None for tasks other than keypoints.
    """

    videos: tuple[Path, ...]
    frames: int
    expected: int
    rate: float
    header_rate: float
    written_rate: float
    identities: int | None = None

    @property
    def video(self) -> Path:
        """The first video."""
        return self.videos[0]

    def __str__(self) -> str:
        early = f"; the source ends early, its header says {self.expected}" if self.frames < self.expected else ""
        differs = abs(self.written_rate - self.header_rate) > RATE_TOLERANCE * self.header_rate
        plays = f"; plays at {self.written_rate:g} per second, where the header says {self.header_rate:g}" if differs else ""
        people = "" if self.identities is None else f", {number_of(self.identities, 'identities')}"
        parts = f" in {len(self.videos)} files" if len(self.videos) > 1 else ""
        return f"{self.video}: {number_of(self.frames, 'frames')}{parts}{people}, {self.rate:.1f} per second{early}{plays}"


def predict_video(
    predictor: Predictor,
    source: Path | str,
    output: Path | str,
    *,
    following: Following | None = None,
    frames: int | None = None,
    min_score: float | None = None,
    save_every: int | None = None,
    show: bool = False,
    timeout_s: float = TIMEOUT_S,
    progress: bool = False,
) -> VideoResult:
    """Predict in every frame; write `STEM_pose.mp4` (or `_boxes`, `_mask`, `_class`) and JSON lines, `STEM_pose.jsonl`.

    A line has the number of the frame, its time in seconds, and the predictions; of people with their identities. Ctrl-C ends the
    recording of a camera or stream, and what was written is kept; if a video file is interrupted, nothing is kept but the files
    that `save_every` has completed. Sound is copied where ffmpeg is installed.

    Args:
        predictor: The model (see `predictors.open_predictor`).
        source: A video file, the number of a camera, or the address of a stream.
        output: Folder for the results.
        following: How people are followed.
        frames: Maximum number of frames; None for all.
        min_score: Keypoints, boxes and classes with a lower score are not drawn; None for 0.2 of keypoints, 0 of others.
        save_every: Number of frames after which the files are completed, and new ones begun: an interruption loses no more.
        show: Show a window with the frames per second; the key q ends the recording.
        timeout_s: Seconds without a frame after which a stream has stalled.
        progress: Show a progress bar.

    Raises:
        HRNetError: The source cannot be read, or stalls or goes away; what it sent until then is kept.
    """
    if save_every is not None and save_every < 1:
        raise HRNetError(f"`save_every` must be at least 1, got {save_every}")
    folder = check_output_folder(output)
    opened = VideoSource(source, timeout_s)
    files = _Files(folder / f"{_stem(source)}_{predictor.suffix}.mp4", opened.rate, save_every, source)
    expected, header_rate = opened.expected, opened.header_rate
    limit = min_score if min_score is not None else predictor.default_min_score
    images = tracked(opened.frames(frames), files.path.name, frames or expected or None, show=progress)
    window = _Window(files.path.name) if show else None
    begun, complete, identities = time.perf_counter(), False, set()
    try:
        for prediction in _predictions(_prediction_function(predictor, following), images, files, limit, window):
            if isinstance(prediction, People) and prediction.ids is not None:
                identities |= set(prediction.ids.tolist())
        complete = True
    except KeyboardInterrupt:
        if not opened.is_live:
            raise
        complete = True
    finally:
        opened.close()
        files.close(keep=complete)
        if window:
            window.close()
    if not files.frames:
        raise HRNetError(opened.ended_early or f"{source} has no frame that can be read")
    if opened.ended_early:
        raise HRNetError(f"{opened.ended_early}; its {number_of(files.frames, 'frames')} are in {files.videos[0]}")
    expected = min(expected, frames) if frames and expected else expected
    rate = files.frames / (time.perf_counter() - begun)
    people = len(identities) if isinstance(predictor, KeypointPredictor) else None
    return VideoResult(tuple(files.videos), files.frames, expected, rate, header_rate, files.rate, people)


def _prediction_function(predictor: Predictor, following: Following | None) -> Callable[[Frame], Prediction]:
    """What predicts the next frame."""
    if isinstance(predictor, KeypointPredictor):
        people = PeopleInVideo(predictor, following)
        return lambda frame: people.predict(frame.image, frame.time_s)
    if following is not None and following.first_box is not None:
        raise HRNetError("`first_box` is for models of keypoints")
    return lambda frame: predictor.predict(frame.image)


def _predictions(
    predict: Callable[[Frame], Prediction], frames: Iterator[Frame], files: _Files, min_score: float, window: _Window | None
) -> Iterator[Prediction]:
    """Yield the prediction of each frame after it is drawn and written; the key q in the window ends."""
    for number, frame in enumerate(frames):
        prediction = predict(frame)
        drawn = prediction.draw(frame.image, min_score)
        data = prediction.to_json()
        content = {"instances": data} if isinstance(data, list) else data
        files.add(drawn, {"frame": number, "time_s": round(frame.time_s, 4), **content})
        yield prediction
        if window and window.show(drawn):
            return


class _Files:
    """The files of a video: one pair, or one pair for every `save_every` frames."""

    def __init__(self, path: Path, rate: float, save_every: int | None, source: Path | str):
        self.path, self.rate, self.save_every = path, rate, save_every
        self.videos: list[Path] = []
        self.frames = 0
        is_file = not is_camera(source) and stream_address(source) is None
        self._sound = Path(source) if is_file and save_every is None else None
        self._file = self._next()

    def _next(self) -> VideoFile:
        number = f"_{len(self.videos):04d}" if self.save_every else ""
        return VideoFile(self.path.with_name(f"{self.path.stem}{number}{self.path.suffix}"), self.rate)

    def add(self, image: Image, line: JsonObject) -> None:
        if self.save_every and self._file.frames == self.save_every:
            self.close(keep=True)
            self._file = self._next()
        self._file.add(image, line)
        self.frames += 1

    def close(self, *, keep: bool) -> None:
        self._file.close(keep=keep, sound=self._sound)
        if keep and self._file.frames:
            self.videos.append(self._file.path)


class _Window:
    """A window with the frames and their number per second."""

    def __init__(self, title: str):
        self.title = title
        self._begun = time.perf_counter()
        self._rate = 0.0

    def show(self, image: Image) -> bool:
        """Show a frame; returns whether q was pressed."""
        now = time.perf_counter()
        rate = 1 / max(now - self._begun, 1e-6)
        self._rate = rate if not self._rate else 0.9 * self._rate + 0.1 * rate
        self._begun = now
        shown = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        cv2.putText(
            shown, f"{self._rate:.1f} per second", (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA
        )
        try:
            cv2.imshow(self.title, shown)
            return cv2.waitKey(1) & 0xFF == QUIT
        except cv2.error:
            raise HRNetError(NO_WINDOW) from None

    def close(self) -> None:
        """Close the window."""
        with contextlib.suppress(cv2.error):
            cv2.destroyWindow(self.title)


def _stem(source: Path | str) -> str:
    """First part of the names of the files that are written."""
    if is_camera(source):
        return f"camera{source}"
    address = stream_address(source)
    return Path(source).stem if address is None else f"stream_{urlsplit(address).hostname or 'local'}"
