"""Times of the chain from an image to poses: before, in and after each network, for several numbers of people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mobile_eval.benchmark.pipeline_timing import BOX, IMAGE_SIZE
from mobile_eval.files import short_names
from mobile_eval.image.geometry import Array, Image
from mobile_eval.messages import number_of
from mobile_eval.pipeline.detectors import open_detector
from mobile_eval.pipeline.pipeline import Pipeline, StepTimes, predict_boxes
from mobile_eval.progress import tracked
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.tflite_model import TFLiteModel

PEOPLE = (1, 2, 5)
ROUNDS = 30
COARSE_SIZE = (12, 16)  # of the random image before it is enlarged
ANY_CLASS = "0"  # the time does not depend on it
STEPS = ("before", "network", "after")


@dataclass(frozen=True)
class Percentiles:
    """Median and 90th percentile of a time in milliseconds."""

    p50_ms: float
    p90_ms: float

    @classmethod
    def of(cls, samples_ms: Sequence[float] | Array) -> Percentiles:
        """The percentiles of samples."""
        p50, p90 = np.percentile(samples_ms, (50, 90)).tolist()
        return cls(p50, p90)


@dataclass(frozen=True)
class ChainTime:
    """Times of an image with a number of people.

    Attributes:
        people: Number of people.
        total: From the decoded image to all poses.
        detector: Before, in and after the network of the detector.
        model: Before, in and after the network of the model, for all people.
        overhead: Median of the total over the time in the two networks.
    """

    people: int
    total: Percentiles
    detector: dict[str, Percentiles]
    model: dict[str, Percentiles]
    overhead: float

    def __str__(self) -> str:
        stages = "; ".join(
            f"{name} " + " + ".join(f"{times[step].p50_ms:.2f}" for step in STEPS)
            for name, times in (("detector", self.detector), ("model", self.model))
        )
        total = f"{self.total.p50_ms:.2f} ms (p90 {self.total.p90_ms:.2f})"
        return (
            f"{number_of(self.people, 'people')}: {total}, {self.overhead:.2f} times the networks alone; "
            f"before + network + after: {stages}"
        )


def time_chains(
    pipelines: Sequence[Pipeline],
    items: Sequence[tuple[Image, Array]],
    people: Sequence[int] = PEOPLE,
    rounds: int = ROUNDS,
    *,
    progress: bool = False,
) -> list[tuple[ChainTime, ...]]:
    """Time pipelines in turns, so that other load affects all alike.

    The detector runs on the image, and the model in as many boxes as there are people: what the detector finds does not matter
    for the time.

    Args:
        pipelines: The pipelines.
        items: Images (H, W, 3) with true boxes (N, 4), N above 0; they take turns.
        people: Numbers of people.
        rounds: Number of timed runs of each number of people.
        progress: Show a progress bar.

    Returns:
        For each pipeline, the times for each number of people.
    """
    samples: dict[tuple[int, int], list[tuple[float, StepTimes, StepTimes]]] = {}
    for number in tracked(range(-1, rounds), "timing", show=progress):  # the first round warms up
        image, boxes = items[number % len(items)]
        for count in people:
            chosen = boxes[np.arange(count) % len(boxes)]
            for index, pipeline in enumerate(pipelines):
                begun = time.perf_counter()
                _, _, detector_times = pipeline.detect(image)
                poses = predict_boxes(pipeline.model, image, chosen, decoding=pipeline.decoding)
                total_ms = 1000 * (time.perf_counter() - begun)
                if number >= 0:
                    samples.setdefault((index, count), []).append((total_ms, detector_times, poses.model_times))
    return [tuple(_chain_time(count, samples[index, count]) for count in people) for index in range(len(pipelines))]


def time_pipelines(
    detector: Path, models: Sequence[Path], backend: Backend, rounds: int | None = None, *, progress: bool = False
) -> dict[str, tuple[ChainTime, ...]]:
    """Time a detector together with each of several models, in turns, on a smooth random image of 480x640 pixels.

    Args:
        detector: File of the detector.
        models: Files of pose or landmarks models.
        backend: What runs all of them.
        rounds: Number of timed runs; None for 30.
        progress: Show a progress bar.

    Returns:
        For each model, by its name, the times for 1, 2 and 5 people.
    """
    shared = open_detector(detector, backend)
    pipelines = [
        Pipeline(shared, TFLiteModel(model, backend), category=ANY_CLASS if shared.classes else None) for model in models
    ]
    coarse = np.random.default_rng(0).integers(0, 256, (*COARSE_SIZE, 3), dtype=np.uint8)  # in noise, objects would be everywhere
    image = np.asarray(cv2.resize(coarse, IMAGE_SIZE[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    times = time_chains(pipelines, [(image, np.array([BOX]))], rounds=rounds or ROUNDS, progress=progress)
    return dict(zip(short_names(models), times, strict=True))


def _chain_time(people: int, samples: Sequence[tuple[float, StepTimes, StepTimes]]) -> ChainTime:
    totals = np.array([total for total, _, _ in samples])
    networks = np.array([detector.network_ms + model.network_ms for _, detector, model in samples])
    stages = [
        {step: Percentiles.of([getattr(times, f"{step}_ms") for times in stage]) for step in STEPS}
        for stage in ([detector for _, detector, _ in samples], [model for _, _, model in samples])
    ]
    return ChainTime(people, Percentiles.of(totals), stages[0], stages[1], float(np.median(totals / np.maximum(networks, 1e-6))))
