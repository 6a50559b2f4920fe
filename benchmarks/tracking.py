"""Identity switches on drawn clips with crossings, against a baseline that knows boxes alone; jitter and lag of the smoothing.

    python benchmarks/tracking.py
    python benchmarks/tracking.py --detector detect.tflite --model pose.tflite

Without files, the true boxes and keypoints are disturbed as a detector and a network would: people of whom less than a third is
visible are missed, and so are 3 % of the others; boxes move by 3 % of their size and keypoints by 2 % of the height. The seeds of
the clips (100 and up) are not those that the settings of the tracker were chosen on (0 to 9).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.spec.keypoint_categories import COCO_PERSON
from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.metrics.identities import IdentityCounts, count_identities
from mobile_eval.pipeline.pipeline import Pipeline
from mobile_eval.pipeline.smoothing import OneEuroFilter, Smoothing
from mobile_eval.pipeline.tracking import Tracker, Tracking
from training.data.synthetic.clip import ClipFrame, draw_clip

SIZE, FRAMES, PEOPLE, RATE = (240, 320), 90, 4, 25.0
FIRST_SEED = 100
VISIBLE, MISSED, BOX_NOISE, POINT_NOISE = 1 / 3, 0.03, 0.03, 0.02
Array = NDArray[np.float64]


def disturbed(frame: ClipFrame, rng: np.random.Generator) -> tuple[Array, Array]:
    """Boxes (N, 4) and keypoints (N, K, 3) of a frame as imperfect networks would predict them."""
    boxes, keypoints = [], []
    for entry in frame.people:
        width, height = entry.person.box[2:]
        if entry.visible < VISIBLE or rng.random() < MISSED or min(width, height) < 8:
            continue
        boxes.append(np.array(entry.person.box) + rng.normal(0, BOX_NOISE, 4) * [width, height, width, height])
        points = entry.person.keypoints.copy()
        points[:, :2] += rng.normal(0, POINT_NOISE * height, (len(points), 2))
        points[:, 2] = np.choose(points[:, 2].astype(int), [0.05, 0.35, 0.8])
        keypoints.append(points)
    return np.reshape(boxes, (-1, 4)), np.reshape(keypoints, (len(boxes), -1, 3)) if boxes else np.zeros((0, 17, 3))


def predictions(frames: list[ClipFrame], seed: int, pipeline: Pipeline | None) -> list[tuple[Array, Array]]:
    """Boxes and keypoints of each frame."""
    rng = np.random.default_rng((seed, 1))
    if pipeline is None:
        return [disturbed(frame, rng) for frame in frames]
    people = [pipeline.predict(frame.image) for frame in frames]
    return [(instances.boxes, instances.keypoints) for instances in people]


def count(frames: list[ClipFrame], predicted: list[tuple[Array, Array]], settings: Tracking) -> IdentityCounts:
    """Switches of one clip."""
    sigmas = KeypointCategory.from_json(COCO_PERSON).sigmas
    tracker = Tracker(sigmas, settings)

    def pairs() -> Iterator[tuple[tuple[NDArray[np.int64], Array], tuple[NDArray[np.int64], Array]]]:
        for frame, (boxes, keypoints) in zip(frames, predicted, strict=True):
            seen = [entry for entry in frame.people if entry.visible >= VISIBLE]
            truth = np.array([entry.identity for entry in seen], np.int64), np.reshape([e.person.box for e in seen], (-1, 4))
            yield truth, (tracker.update(boxes, keypoints, frame.image), boxes)

    return count_identities(pairs())


def smoothing_figures(settings: Smoothing, clips: list[list[ClipFrame]]) -> tuple[float, float, float, float]:
    """Jitter before and after, as the root mean square of the second difference; error after over before; lag in frames."""
    rng = np.random.default_rng(0)
    before, after, errors, lags = [], [], [], []
    for frames in clips:
        for identity in range(1, PEOPLE + 1):
            people = [entry.person for frame in frames for entry in frame.people if entry.identity == identity]
            if len(people) < 30:
                continue
            truth = np.stack([person.points[:17, :2] for person in people])
            height = float(np.median([person.box[3] for person in people]))
            noisy = truth + rng.normal(0, POINT_NOISE / 2 * height, truth.shape)
            smooth = OneEuroFilter(settings)
            filtered = np.stack([smooth(points, number / RATE, height) for number, points in enumerate(noisy)])
            before.append(np.sqrt(np.square(np.diff(noisy, 2, axis=0)).mean()) / height)
            after.append(np.sqrt(np.square(np.diff(filtered, 2, axis=0)).mean()) / height)
            errors.append(np.sqrt(np.square(filtered - truth)[5:].mean() / np.square(noisy - truth)[5:].mean()))
            lags.append(_lag(truth, filtered))
    return float(np.mean(before)), float(np.mean(after)), float(np.mean(errors)), float(np.mean(lags))


def jitter_at_rest(settings: Smoothing) -> float:
    """Jitter of a standing person, filtered over unfiltered."""
    noisy = 100 + np.random.default_rng(0).normal(0, POINT_NOISE / 2 * 100, (500, 17, 2))
    smooth = OneEuroFilter(settings)
    filtered = np.stack([smooth(points, number / RATE, 100.0) for number, points in enumerate(noisy)])
    return float(np.sqrt(np.square(np.diff(filtered, 2, axis=0)).mean() / np.square(np.diff(noisy, 2, axis=0)).mean()))


def _lag(truth: Array, filtered: Array) -> float:
    """Delay in frames at which the true path fits the filtered one best."""
    times = np.arange(len(truth), dtype=float)
    delays = np.linspace(0, 4, 41)
    flat, target = truth.reshape(len(truth), -1), filtered.reshape(len(truth), -1)
    costs = [
        np.mean([np.square(np.interp(times[8:] - delay, times, flat[:, i]) - target[8:, i]).mean() for i in range(flat.shape[1])])
        for delay in delays
    ]
    return float(delays[int(np.argmin(costs))])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    parser.add_argument("--detector")
    parser.add_argument("--model")
    options = parser.parse_args()
    pipeline = Pipeline(options.detector, options.model) if options.detector else None
    arms = {"boxes alone (IoU)": Tracking(boxes_only=True), "tracker": Tracking()}
    totals = {name: IdentityCounts() for name in arms}
    clips = []
    for seed in range(options.seed, options.seed + options.clips):
        frames = list(draw_clip(np.random.default_rng(seed), SIZE, FRAMES, PEOPLE))
        predicted = predictions(frames, seed, pipeline)
        for name, settings in arms.items():
            totals[name] += count(frames, predicted, settings)
        clips.append(frames)
    for name, counts in totals.items():
        print(f"{name:<18} {counts.switches:3d} identity switches in {options.clips} clips, MOTA {counts.mota:.3f}")
    for smoothing in (Smoothing(), Smoothing(1.0, 6.0)):
        before, after, error, lag = smoothing_figures(smoothing, clips)
        print(
            f"One-Euro {smoothing.min_cutoff_hz:g} Hz, beta {smoothing.beta:g}: jitter {after / before:.2f} of the unfiltered in "
            f"motion and {jitter_at_rest(smoothing):.2f} at rest, error {error:.2f}, lag {lag:.1f} frames "
            f"({1000 * lag / RATE:.0f} ms at {RATE:g} per second)"
        )


if __name__ == "__main__":
    main()
