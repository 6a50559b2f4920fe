"""Real images for calibration and for checking: a data set's, through the device's own preprocessing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from conversion.options import ConvertOptions
from hrnet_tf.networks import Network
from hrnet_tf.runs import Run
from mobile_eval.geometry import PLAIN, geometry_of
from mobile_eval.tasks.asked import Source, TaskData, given_by
from mobile_eval.tasks.registry import TASKS

SAMPLES = 200
CHECKED = 16
RANDOM = 4


def inputs_of(
    data: TaskData, spec: Network, count: int = SAMPLES, seed: int | None = None, geometry: str = PLAIN
) -> NDArray[np.uint8]:
    """What the network is given (N, H, W, 3), RGB, of `count` items: of `data.head`, or with a `seed` drawn at random."""
    items = data.head(count).items
    if seed is not None:
        items = tuple(data.items[i] for i in np.random.default_rng(seed).permutation(len(data))[:count])
    return TASKS[spec.task].inputs_in(geometry, items, spec.input_size)


def run_geometry(run: Run) -> str:
    """The geometry (`mobile_eval.geometry`) of what a run's network is given: its training's."""
    return geometry_of(run.config.get("targets"))


def sample_inputs(run: Run, options: ConvertOptions, data: TaskData | None, samples: int, seed: int | None) -> NDArray[np.uint8]:
    """Images (N, H, W, 3) to take the ranges of `options`' format on, or for a run that has its ranges, to check on alone.

    They are of `data`, or else of what the run was trained on; random ones where neither is there and no ranges are needed.
    """
    tuned = run.quantized and options.format == "int8"
    data = data or own_data(run)
    if data:
        return inputs_of(data, run.spec, CHECKED if tuned else samples, None if tuned else seed, run_geometry(run))
    if options.format in ("int8", "int16x8") and not tuned:
        raise ValueError(
            f"{run.path} was not tuned quantization-aware and the data it was trained on are not there: "
            f"{options.format} needs calibration, give {given_by(TASKS[run.spec.task])}"
        )
    return random_inputs(run.spec.input_size)


def own_data(run: Run) -> TaskData | None:
    """The data that a run was trained on; None where they are not there (any more)."""
    source = Source.from_json(run.config.get("train", {}))
    if not source.paths or not all(path.exists() for path in source.paths):
        return None
    return TASKS[run.spec.task].load(source)


def random_inputs(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth random images, for checking where no real ones are to be had."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (RANDOM, size[0] // 16, size[1] // 16, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)
