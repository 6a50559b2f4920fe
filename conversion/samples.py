"""Real images for calibration and for checking: a data set's, through the device's own preprocessing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.networks import Network
from hrnet_tf.runs import Run
from mobile_eval.geometry import PLAIN, geometry_of
from mobile_eval.tasks.asked import Source, TaskData
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


def own_data(run: Run) -> TaskData | None:
    """The data that a run was trained on; None where they are not there (any more)."""
    paths = run.config.get("train", {})
    if not paths or not all(Path(path).exists() for path in paths.values()):
        return None
    return TASKS[run.spec.task].load(Source.from_json(paths))


def random_inputs(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth random images, for checking where no real ones are to be had."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (RANDOM, size[0] // 16, size[1] // 16, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)
