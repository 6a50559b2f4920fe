"""Videos as users have them: rotated, in parts, with sound, shown in a window; cameras and streams that end early."""

from __future__ import annotations

import http.server
import json
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.pipeline import video
from mobile_eval.pipeline.frames import VideoSource, is_video, stream_address
from mobile_eval.pipeline.predictors import KeypointPredictor
from mobile_eval.pipeline.video import predict_video
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.mobile_eval.conftest import Invoke, one_line

HEIGHT, WIDTH, FRAMES = 96, 128, 6
QUARTER_TURN = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)  # matrix of the track header, clockwise


def write_clip(path: Path, frames: int = FRAMES, codec: str = "mp4v") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10.0, (WIDTH, HEIGHT))
    for number in range(frames):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[:20] = 40 * number  # the top is bright
        writer.write(image)
    writer.release()
    return path


@pytest.fixture
def predictor(model_path: Callable[..., Path]) -> KeypointPredictor:
    return KeypointPredictor(TFLiteModel(model_path()))


def test_rotated_video_is_upright(predictor: KeypointPredictor, tmp_path: Path) -> None:
    data = bytearray(write_clip(tmp_path / "plain.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # version 0
    assert struct.unpack(">9i", data[matrix : matrix + 36]) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    data[matrix : matrix + 36] = QUARTER_TURN
    (tmp_path / "rotated.mp4").write_bytes(data)
    frames = [frame.image for frame in VideoSource(tmp_path / "rotated.mp4").frames(None)]
    assert frames[-1].shape == (WIDTH, HEIGHT, 3)
    assert frames[-1][:, -10:].mean() > 150 > 50 > frames[-1][:, :40].mean()  # turned clockwise
    result = predict_video(predictor, tmp_path / "rotated.mp4", tmp_path / "out")
    written = cv2.VideoCapture(str(result.video))
    assert written.get(cv2.CAP_PROP_FRAME_WIDTH) == HEIGHT


def test_files_are_completed_in_parts(predictor: KeypointPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 7)
    result = predict_video(predictor, clip, tmp_path / "out", save_every=3)
    names = [f"clip_pose_{number:04d}" for number in range(3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{n}.{e}" for n in names for e in ("jsonl", "mp4")]
    assert str(result).startswith(f"{tmp_path / 'out' / 'clip_pose_0000.mp4'}: 7 frames in 3 files, 1 identity, ")
    numbers = [json.loads(line)["frame"] for p in result.videos for line in p.with_suffix(".jsonl").read_text().splitlines()]
    assert numbers == list(range(7))

    def interrupted(*_: object) -> None:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt

    calls: list[int] = []
    predict = predictor.predict_boxes
    monkeypatch.setattr(predictor, "predict_boxes", lambda image, boxes: interrupted() or predict(image, boxes))
    with pytest.raises(KeyboardInterrupt):
        predict_video(predictor, clip, tmp_path / "cut", save_every=3)
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["clip_pose_0000.jsonl", "clip_pose_0000.mp4"]
    with pytest.raises(HRNetError, match="`save_every` must be at least 1, got 0"):
        predict_video(predictor, clip, tmp_path / "none", save_every=0)


def test_sound_is_copied_by_ffmpeg(predictor: KeypointPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for ffmpeg writes its arguments to the end of the video."""
    clip, program = write_clip(tmp_path / "clip.mp4"), tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor last; do :; done\ncp "$6" "$last"; echo "$@" >> "$last"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    result = predict_video(predictor, clip, tmp_path / "out")
    data = result.video.read_bytes()
    arguments = data[data.rindex(b"-nostdin") :].decode()
    assert f"-i {clip} -map 0:v -map 1:a? -c copy" in arguments
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["clip_pose.jsonl", "clip_pose.mp4"]
    program.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    result = predict_video(predictor, clip, tmp_path / "silent")
    assert int(cv2.VideoCapture(str(result.video)).get(cv2.CAP_PROP_FRAME_COUNT)) == FRAMES


def test_window(predictor: KeypointPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(HRNetError, match="`show` needs a display, and opencv with windows"):
        predict_video(predictor, clip, tmp_path / "none", show=True)
    shown: list[tuple[int, ...]] = []
    monkeypatch.setattr(video.cv2, "imshow", lambda title, image: shown.append(image.shape), raising=False)
    monkeypatch.setattr(video.cv2, "waitKey", lambda ms: ord("q") if len(shown) == 3 else -1, raising=False)
    monkeypatch.setattr(video.cv2, "destroyWindow", lambda title: None, raising=False)
    result = predict_video(predictor, clip, tmp_path / "out", show=True)
    assert shown == [(HEIGHT, WIDTH, 3)] * 3
    assert result.frames == len(result.video.with_suffix(".jsonl").read_text().splitlines()) == 3
    assert int(cv2.VideoCapture(str(result.video)).get(cv2.CAP_PROP_FRAME_COUNT)) == 3


class FakeCamera:
    """A camera that is unplugged after three frames."""

    def __init__(self) -> None:
        self.remaining = 3

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.remaining -= 1
        return (True, np.zeros((HEIGHT, WIDTH, 3), np.uint8)) if self.remaining >= 0 else (False, None)

    def get(self, prop: int) -> float:
        return 0.0

    def release(self) -> None:
        self.remaining = 0


def test_camera_that_goes_away(predictor: KeypointPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mobile_eval.pipeline.frames.open_capture", lambda source, timeout: FakeCamera())
    with pytest.raises(HRNetError, match=r"camera 0 sends no more frames.*; its 3 frames are in .*camera0_pose\.mp4"):
        predict_video(predictor, "0", tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "camera0_pose.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2]
    assert lines[0]["time_s"] < lines[1]["time_s"] < lines[2]["time_s"]
    assert predict_video(predictor, "0", tmp_path / "two", frames=2).frames == 2


class Stream(http.server.BaseHTTPRequestHandler):
    """Sends a few JPEG frames, and then nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        data = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), 90, np.uint8))[1].tobytes()
        for _ in range(30):
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data) + data + b"\r\n")
        self.wfile.flush()
        time.sleep(8)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stream)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/video.mjpg"
    server.shutdown()


@pytest.mark.slow
def test_stream_that_stalls(model_path: Callable[..., Path], address: str, invoke: Invoke, tmp_path: Path) -> None:
    begun = time.monotonic()
    code, _, error = invoke("predict", model_path(), address, "--output", tmp_path / "out", "--timeout", 2)
    assert code == 2
    assert f"stream {address} sent no frame for 2 s; its" in one_line(error)
    assert time.monotonic() - begun < 30
    path = tmp_path / "out" / "stream_127.0.0.1_pose.mp4"
    count = len(path.with_suffix(".jsonl").read_text().splitlines())
    assert count >= 5
    assert int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT)) == count
    code, _, error = invoke("predict", model_path(), "http://127.0.0.1:9/x.mjpg", "--output", tmp_path / "b", "--timeout", 2)
    assert code == 2
    assert "cannot open stream http://127.0.0.1:9/x.mjpg" in one_line(error)


def test_addresses() -> None:
    assert stream_address("rtsp://camera/1") == stream_address(Path("rtsp://camera/1")) == "rtsp://camera/1"
    assert stream_address("folder/http.mp4") is None
    assert is_video("https://host/live")
    assert not is_video("https.jpg")
    assert is_video("3")


def test_first_box(predictor: KeypointPredictor, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    command = ("predict", model_path(), clip, "--output", tmp_path / "out", "--frames", 2, "--first-box")
    assert invoke(*command, "10,20,30,60")[0] == 0
    line = json.loads((tmp_path / "out" / "clip_pose.jsonl").read_text().splitlines()[0])
    assert line["instances"][0]["bbox"] == [10, 20, 30, 60]
    for text, message in (("1,2,3", "--first-box must be x,y,width,height"), ("900,0,5,5", "outside of the frame, 128x96")):
        code, _, error = invoke(*command, text)
        assert code == 2
        assert message in one_line(error)
