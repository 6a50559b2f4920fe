"""Seconds for each image, and peak memory, of the steps of the job for one network on this machine.

    python benchmarks/expected_times.py pose-w32 --input-size 256x192 --json expected.json

Each step runs on random images in a process of its own, so that its peak memory is its own. Processor time is of all cores
together, and depends less on what else runs. "together" is arithmetic, for the images of COCO:
149,813 people of train2017 for an epoch, 500 of them for ranking, and 6,352 of val2017 for evaluation (flip test, one thread).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hrnet_tf as hr
from hrnet_tf.backend.types import KerasModel

TRAINING_PEOPLE, RANKED_PEOPLE, VALIDATION_PEOPLE = 149_813, 500, 6_352
BATCH, STEPS = 8, 6
RANKED, MAX_RANKED = 8, 1024  # images of a ranking
MIB = 2**20
KIB = 2**10


@dataclass(frozen=True)
class Setup:
    """The network, with random weights, and its precision in training."""

    name: str
    input_size: str
    precision: str

    def model(self) -> KerasModel:
        from hrnet_tf.backend.keras_module import keras

        keras.mixed_precision.set_global_policy("float32" if self.precision == "float32" else f"mixed_{self.precision}")
        return hr.HRNet(self.name, input_size=self.input_size)


def images_and_targets(model: KerasModel, items: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    shapes = (model.input_shape[1:], model.output_shape[1:])
    images, targets = (rng.random((items, *shape), np.float32) for shape in shapes)
    return images, targets


@dataclass(frozen=True)
class Times:
    """Seconds by the clock, and of all processors together."""

    wall: float
    processor: float

    @classmethod
    def of(cls, function: Callable[[], object]) -> Times:
        wall, processor = time.perf_counter(), time.process_time()
        function()
        return cls(time.perf_counter() - wall, time.process_time() - processor)

    def without(self, other: Times) -> Times:
        return Times(self.wall - other.wall, self.processor - other.processor)

    def times(self, factor: float) -> Times:
        return Times(self.wall * factor, self.processor * factor)


def times_of_fit(model: KerasModel) -> Times:
    """Times of `fit` for each image, without its first epoch."""
    model.compile("adam", "mse")
    data = images_and_targets(model, BATCH * STEPS)
    model.fit(*data, batch_size=BATCH, verbose=0)
    return Times.of(lambda: model.fit(*data, batch_size=BATCH, verbose=0)).times(1 / len(data[0]))


def training(setup: Setup) -> Times:
    return times_of_fit(setup.model())


def quantized_training(setup: Setup) -> Times:
    model = setup.model()
    return times_of_fit(hr.quantize(model, images_and_targets(model, 8)[0]))


def ranking(setup: Setup) -> Times:
    """Times for each further image. The number of images is doubled until they take longer than start-up and tracing."""
    model = setup.model()
    model.compile("adam", "mse")

    def times(items: int) -> Times:
        return Times.of(partial(hr.rank, model, images_and_targets(model, items), limit=items))

    times(RANKED)  # the first ranking of a process also loads libraries
    fewer, items = times(RANKED), 2 * RANKED
    while (more := times(items)).processor < 2 * fewer.processor and items < MAX_RANKED:
        items *= 2
    return more.without(fewer).times(1 / (items - RANKED))


def conversion(setup: Setup) -> Times:
    model = setup.model()
    images, _ = images_and_targets(model, 16)
    with tempfile.TemporaryDirectory() as folder:
        return Times.of(lambda: hr.convert(model, f"{folder}/m.tflite", representative_data=images))


def evaluation(setup: Setup) -> Times:
    """Times of two runs of the int8 file on one thread."""
    model = setup.model()
    with tempfile.TemporaryDirectory() as folder:
        hr.convert(model, f"{folder}/m.tflite", representative_data=images_and_targets(model, 4)[0])
        seconds = 2 * hr.benchmark(f"{folder}/m.tflite", threads=1, memory=False)[0].p50_ms / 1000
    return Times(seconds, seconds)


STEPS_OF_THE_JOB: dict[str, tuple[Callable[[Setup], Times], int]] = {
    "training, an epoch": (training, TRAINING_PEOPLE),
    "ranking, leave-one-out": (ranking, RANKED_PEOPLE),
    "quantization-aware, an epoch": (quantized_training, TRAINING_PEOPLE),
    "conversion to int8": (conversion, 1),
    "evaluation, int8": (evaluation, VALIDATION_PEOPLE),
}


@dataclass(frozen=True)
class Measurement:
    """A step: seconds for each image (conversion: for the file), images of COCO, peak memory of its process."""

    step: str
    seconds: Times
    images: int
    peak_mib: float

    def __str__(self) -> str:
        wall, processor = self.seconds.wall, self.seconds.processor
        together = words(wall * self.images)
        return f"| {self.step} | {wall:.3g} | {processor:.3g} | {self.images:,} | {together} | {self.peak_mib:,.0f} |"


def words(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def measure(step: str, setup: Setup) -> Measurement:
    function, images = STEPS_OF_THE_JOB[step]
    seconds = function(setup)
    return Measurement(step, seconds, images, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB / MIB)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="pose-w32")
    parser.add_argument("--input-size", default="256x192")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--steps", nargs="*", default=list(STEPS_OF_THE_JOB), choices=list(STEPS_OF_THE_JOB))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    setup = Setup(arguments.name, arguments.input_size, arguments.precision)
    print(f"{setup.name}, {setup.input_size}, {setup.precision}, {len(os.sched_getaffinity(0))} cores")
    print("| step | s / image | processor s / image | images | together | peak MiB |\n|---|---|---|---|---|---|")
    measured = []
    for step in arguments.steps:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # fails where its process is killed
            measured.append(pool.submit(measure, step, setup).result())
        print(measured[-1], flush=True)
    if arguments.json:
        data = {"setup": asdict(setup), "measurements": [asdict(measurement) for measurement in measured]}
        arguments.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
