"""A pose in every frame of a video, followed from frame to frame."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.keypoints.inference import predict_box
from mobile_eval.pipeline import pipeline
from mobile_eval.pipeline.frames import SUFFIXES, Frame, VideoSource, is_video, output_rate
from mobile_eval.pipeline.people_in_video import Following, box_around
from mobile_eval.pipeline.predictors import KeypointPredictor
from mobile_eval.pipeline.video import VideoResult
from mobile_eval.pipeline.video import predict_video as predict_in_video
from mobile_eval.pipeline.video_file import VideoFile
from mobile_eval.runtime.tflite_model import TFLiteModel

FRAMES, HEIGHT, WIDTH = 7, 96, 128


def predict_video(model: TFLiteModel, source: Path | str, output: Path, **options: Any) -> VideoResult:
    return predict_in_video(KeypointPredictor(model), source, output, **options)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Seven frames of noise at 10 frames per second."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (WIDTH, HEIGHT))
    rng = np.random.default_rng(0)
    for _ in range(FRAMES):
        writer.write(cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (WIDTH, HEIGHT)))
    writer.release()
    return path


def test_every_frame_is_drawn_and_written(clip: Path, model_path: Callable[..., Path], tmp_path: Path) -> None:
    model = TFLiteModel(model_path())
    result = predict_video(model, clip, tmp_path / "out", following=Following(track=False))
    assert (result.frames, result.expected) == (FRAMES, FRAMES)
    assert result.rate > 1
    drawn = cv2.VideoCapture(str(result.video))
    assert int(drawn.get(cv2.CAP_PROP_FRAME_COUNT)) == FRAMES
    assert drawn.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    assert (drawn.get(cv2.CAP_PROP_FRAME_WIDTH), drawn.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (WIDTH, HEIGHT)
    frames = lines(tmp_path / "out" / "clip_pose.jsonl")
    assert [(line["frame"], line["time_s"]) for line in frames] == [(number, number / 10) for number in range(FRAMES)]
    success, image = cv2.VideoCapture(str(clip)).read()
    assert success
    expected = predict_box(model, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (0, 0, WIDTH, HEIGHT))
    np.testing.assert_allclose(np.reshape(frames[0]["instances"][0]["keypoints"], (17, 3)), expected, atol=1e-3)
    assert [line["instances"][0]["id"] for line in frames] == [1] * FRAMES
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip_pose.jsonl", "clip_pose.mp4"]


def test_frame_limit_and_truncated_video(
    clip: Path, model_path: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TFLiteModel(model_path())
    assert predict_video(model, clip, tmp_path / "out", frames=3).frames == 3
    four = [Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), number / 10) for number in range(4)]
    monkeypatch.setattr(VideoSource, "frames", lambda source, limit: iter(four))
    assert str(predict_video(model, clip, tmp_path / "out")).endswith("header says 7")


@pytest.mark.parametrize(
    ("ending", "codec", "header", "written"),
    [
        pytest.param("avi", "MJPG", 211.222, 211.22, id="more decimals than MPEG-4 has"),
        pytest.param("mkv", "MJPG", 23.976, 23.976, id="film"),
        pytest.param("avi", "MJPG", 59.94, 59.94, id="television"),
        pytest.param("mp4", "mp4v", 1000.0, 30.0, id="1000 per second"),
        pytest.param("mkv", "MJPG", 90000.0, 30.0, id="no times"),
    ],
)
def test_frame_rates_of_headers(
    ending: str, codec: str, header: float, written: float, model_path: Callable[..., Path], tmp_path: Path
) -> None:
    path = tmp_path / f"clip.{ending}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), header, (WIDTH, HEIGHT))
    for _ in range(FRAMES):
        writer.write(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    writer.release()
    result = predict_video(TFLiteModel(model_path()), path, tmp_path / "out")
    drawn = cv2.VideoCapture(str(result.video))
    assert int(drawn.get(cv2.CAP_PROP_FRAME_COUNT)) == FRAMES
    assert drawn.get(cv2.CAP_PROP_FPS) == pytest.approx(written, rel=1e-5)
    assert ("the header says" in str(result)) == (written == 30.0)


@pytest.mark.parametrize(
    ("header", "timed", "written"),
    [
        (25.0, 25.02, 25.0),
        (1000.0, 24.93, 24.93),  # a phone's variable rate in 1/1000 s
        (211.222, 29.87, 29.87),
        (120.0, 30.0, 30.0),
        (30.0, None, 30.0),  # a camera
        (0.0, None, 30.0),
        (0.0, 12.5, 12.5),
        (0.001, 0.001, 30.0),
        (600.0, 600.0, 30.0),
        (239.7606, 240.1, 239.76),
        (29.97002997, 29.97, 29.97),
    ],
)
def test_output_rate(header: float, timed: float | None, written: float) -> None:
    assert output_rate(header, timed) == pytest.approx(written)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_interruption_leaves_no_files(
    error: type[BaseException], clip: Path, model_path: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def interrupted(image: NDArray[np.uint8], *_: object) -> NDArray[np.uint8]:
        if len(drawn) == FRAMES // 2:
            raise error("stop")
        drawn.append(1)
        return image

    monkeypatch.setattr(pipeline, "draw_skeleton", interrupted)
    with pytest.raises(error, match="stop"):
        predict_video(TFLiteModel(model_path()), clip, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_leaves_no_partial_video(model_path: Callable[..., Path], tmp_path: Path) -> None:
    """The command is interrupted in a subprocess while it writes."""
    path, out = tmp_path / "long.avi", tmp_path / "out"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (WIDTH, HEIGHT))
    for _ in range(4000):
        writer.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    writer.release()
    command = [sys.executable, "-m", "mobile_eval", "predict", model_path(), path, "--output", out]
    restore_sigint = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # background jobs of a shell ignore SIGINT
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, preexec_fn=restore_sigint) as process:
        until = time.monotonic() + 60
        while not list(out.glob(".*.part.mp4")) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert list(out.iterdir()) == []


def test_frames_lost_on_a_full_disk_are_an_error(
    clip: Path, model_path: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VideoFile, "add", add_half)
    with pytest.raises(HRNetError, match=f"clip_pose.mp4: {FRAMES // 2 + 1} of {FRAMES} frames"):
        predict_video(TFLiteModel(model_path()), clip, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def add_half(drawn: Any, image: NDArray[np.uint8], line: Any, add: Callable[..., None] = VideoFile.add) -> None:
    """Drop every second frame, as a full disk does."""
    if drawn.frames % 2 == 0:
        add(drawn, image, line)
    else:
        drawn.frames += 1


def test_invalid_videos_are_refused(model_path: Callable[..., Path], tmp_path: Path) -> None:
    model, broken = TFLiteModel(model_path()), tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    for source, message in (
        (broken, "broken.mp4"),
        (tmp_path / "absent.mp4", "absent.mp4"),
        ("97", "camera 97"),
    ):
        with pytest.raises(HRNetError, match=message):
            predict_video(model, source, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    assert all(map(is_video, ("0", "a.MP4", *(f"x{suffix}" for suffix in SUFFIXES))))
    assert not is_video("a.jpg")


def keypoints(*places: tuple[float, float, float]) -> NDArray[np.float64]:
    return np.array(places, np.float64)


def test_next_box_surrounds_confident_keypoints() -> None:
    sure = keypoints((40, 20, 0.9), (60, 20, 0.9), (40, 60, 0.9), (60, 60, 0.9), (500, 500, 0.1))
    assert box_around(sure, (96, 128)) == (35.0, 10.0, 30.0, 60.0)
    near_the_edge = sure + np.array([-45.0, 0, 0])
    assert box_around(near_the_edge, (96, 128)) == (0.0, 10.0, 20.0, 60.0)
    full_frame = (0.0, 0.0, 128.0, 96.0)
    assert box_around(None, (96, 128)) == full_frame
    assert box_around(sure[:3], (96, 128)) == full_frame  # too few keypoints
    assert box_around(keypoints(*[(5.0, 5.0, 0.9)] * 6), (96, 128)) == full_frame  # no extent
