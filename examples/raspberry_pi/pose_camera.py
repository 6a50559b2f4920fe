"""A camera's pose in a window, on a Raspberry Pi or any computer: skeleton and frames per second, without hrnet_tf.

    python pose_camera.py model.tflite vectors.json               # Raspberry Pi's camera (picamera2)
    python pose_camera.py model.tflite vectors.json --source 0    # a USB camera, by its number; or a video file

Copy this file, `examples/pose_in_numpy.py`, the model and its vectors.json (`hrnet vectors`) into one folder. Needs numpy, a
TFLite runtime (`pip install ai-edge-litert`), and OpenCV with windows (`apt install python3-opencv`, or `pip install
opencv-python`).
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import cv2
import numpy as np
import pose_in_numpy

SCORE = 0.3  # keypoints below are not drawn, and not followed
MARGIN = 0.25  # of the box around the last keypoints, on each side


def picamera_frames():
    """Yield frames (H, W, 3), uint8 RGB, of a Raspberry Pi's camera."""
    from picamera2 import Picamera2

    camera = Picamera2()
    camera.configure(camera.create_video_configuration(main={"size": (640, 480), "format": "BGR888"}))  # RGB in memory
    camera.start()
    while True:
        yield camera.capture_array()


def opencv_frames(source):
    """Yield frames (H, W, 3), uint8 RGB, of a USB camera or a video file."""
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not capture.isOpened():
        raise SystemExit(f"cannot open {source}")
    while True:
        success, frame = capture.read()
        if not success:
            return
        yield np.ascontiguousarray(frame[..., ::-1])


def next_box(keypoints, frame):
    """The box (x, y, width, height) to look into next: around the keypoints, or the full frame."""
    height, width = frame.shape[:2]
    x, y = keypoints[keypoints[:, 2] > SCORE, :2].T
    if len(x) < 3:
        return [0, 0, width, height]
    margin = MARGIN * max(np.ptp(x), np.ptp(y), 20)
    left, top = max(x.min() - margin, 0), max(y.min() - margin, 0)
    return [left, top, min(x.max() + margin, width) - left, min(y.max() + margin, height) - top]


def draw(frame, keypoints, skeleton, text):
    """Draw confident keypoints, the lines between them, and a text, into an RGB frame."""
    points = [tuple(round(value) for value in point[:2].tolist()) for point in keypoints]
    for first, second in skeleton:
        if min(keypoints[first, 2], keypoints[second, 2]) > SCORE:
            cv2.line(frame, points[first], points[second], (80, 200, 120), 2, cv2.LINE_AA)
    for point, score in zip(points, keypoints[:, 2], strict=True):
        if score > SCORE:
            cv2.circle(frame, point, 4, (250, 120, 60), -1, cv2.LINE_AA)
    cv2.putText(frame, text, (10, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2, cv2.LINE_AA)


def main():
    """Follow one person until the key q, the end of the video, or --frames."""
    from ai_edge_litert.interpreter import Interpreter

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--source", default="picamera", help="picamera, the number of a USB camera, or a video file")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--frames", type=int, help="stop after so many frames")
    parser.add_argument("--no-window", action="store_true", help="print keypoints as JSON lines and open no window")
    options = parser.parse_args()
    contract = json.loads(options.vectors.read_text())
    interpreter = Interpreter(options.model, num_threads=options.threads)
    interpreter.allocate_tensors()
    frames = picamera_frames() if options.source == "picamera" else opencv_frames(options.source)
    box, begun = None, time.perf_counter()
    for number, frame in enumerate(itertools.islice(frames, options.frames), 1):
        keypoints = pose_in_numpy.predict(interpreter, frame, box or next_box(np.zeros((0, 3)), frame), contract)
        box = next_box(keypoints, frame)
        rate = number / (time.perf_counter() - begun)
        if options.no_window:
            print(json.dumps({"frame": number, "keypoints": keypoints.round(2).tolist(), "frames_per_second": round(rate, 1)}))
            continue
        draw(frame, keypoints, contract["skeleton"], f"{rate:.1f} frames per second")
        cv2.imshow("pose (q ends)", frame[..., ::-1])
        if cv2.waitKey(1) & 0xFF == ord("q"):
            break


if __name__ == "__main__":
    main()
