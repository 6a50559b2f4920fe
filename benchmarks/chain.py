"""Time and memory of a detector and a pose model together, on drawn people.

    python benchmarks/chain.py detector.tflite pose.tflite [--frames 10000]

Prints, for 1, 2 and 5 people, the time from an image to all poses over that of the two networks alone, with one thread, and the
resident memory (VmRSS) after a tenth of the frames of a video and at its end.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

from mobile_eval.benchmark.chain_timing import time_chains
from mobile_eval.pipeline.frames import VideoSource
from mobile_eval.pipeline.people_in_video import PeopleInVideo
from mobile_eval.pipeline.pipeline import Pipeline
from mobile_eval.pipeline.predictors import KeypointPredictor
from mobile_eval.pipeline.video_file import VideoFile
from training.data.synthetic.clip import draw_clip

SIZE, CLIP_FRAMES, RATE = (192, 256), 50, 25.0
MIB = 2**20


def resident_bytes() -> int:
    """Resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def write_video(path: Path, frames: int) -> None:
    """Write a clip of five people again and again."""
    images = [cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR) for frame in draw_clip(np.random.default_rng(9), SIZE, CLIP_FRAMES, 5)]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, SIZE[::-1])
    for number in range(frames):
        writer.write(images[number % CLIP_FRAMES])
    writer.release()


def memory(pipeline: Pipeline, frames: int) -> tuple[int, int]:
    """Resident memory after a tenth of the frames, and at the end."""
    people = PeopleInVideo(KeypointPredictor(pipeline.model, pipeline))
    early = 0
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder) / "people.mp4", frames)
        source, output = VideoSource(Path(folder) / "people.mp4"), VideoFile(Path(folder) / "out.mp4", RATE)
        for number, frame in enumerate(source.frames(None)):
            prediction = people.predict(frame.image, frame.time_s)
            output.add(prediction.draw(frame.image), {"frame": number, "instances": prediction.to_json()})
            if number == frames // 10:
                early = resident_bytes()
        output.close(keep=True)
        return early, resident_bytes()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector")
    parser.add_argument("model")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    pipeline = Pipeline(options.detector, options.model)
    clip = [frame for frame in draw_clip(np.random.default_rng(9), SIZE, CLIP_FRAMES, 5) if frame.people]
    items = [(frame.image, np.array([entry.person.box for entry in frame.people])) for frame in clip[::5]]
    for entry in time_chains([pipeline], items, rounds=options.rounds)[0]:
        print(entry)
    early, late = memory(pipeline, options.frames)
    print(
        f"resident memory after {options.frames // 10:,} frames {early / MIB:.1f} MiB, after {options.frames:,} {late / MIB:.1f}"
    )


if __name__ == "__main__":
    main()
