"""Real images for calibration and for checking: a data set's, through the device's own preprocessing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conversion.options import ConvertOptions
from hrnet_tf.models.build import Network
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.datasets.base import DataSource, TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import PLAIN, geometry_of
from mobile_eval.model.checked_inputs import IMAGES, RANDOM_IMAGES
from mobile_eval.tasks.registry import TASKS

SAMPLES = 200
CHECKED = 16
RANDOM = 4
CHECKED_ON_RANDOM = "checked on random images: the data that the run was trained on are not there, and no images were given"


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a network is given of `count` items, one array each, made by `make` of its number whenever it is asked for."""

    count: int
    make: Callable[[int], NDArray[Any]]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> NDArray[Any]:
        if not 0 <= index < self.count:
            raise IndexError(f"there are {self.count} inputs, got number {index}")
        return self.make(index)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return map(self.make, range(self.count))

    def head(self, count: int) -> Inputs:
        """The first of them."""
        return Inputs(min(count, self.count), self.make)

    def map(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Inputs:
        """What `change` makes of each."""
        return Inputs(self.count, lambda index: change(self.make(index)))

    def batches(self, size: int) -> Iterator[NDArray[Any]]:
        """Arrays (N, ...) of `size` of them at a time."""
        for start in range(0, self.count, size):
            yield np.stack([self.make(index) for index in range(start, min(start + size, self.count))])

    def kept_within(self, memory_budget: int) -> Inputs:
        """The same, made once and kept, where all of them fit into that many bytes."""
        if not self.count:
            return self
        first = self.make(0)
        if self.count * first.nbytes > memory_budget:
            return self
        kept = [first, *(self.make(index) for index in range(1, self.count))]
        return Inputs(self.count, kept.__getitem__)


def inputs_of(data: TaskDataset, spec: Network, count: int = SAMPLES, seed: int | None = None, geometry: str = PLAIN) -> Inputs:
    """What the network is given (H, W, 3), RGB, of `count` items: of `data.head`, or with a `seed` drawn at random."""
    items = data.head(count).items
    if seed is not None:
        items = tuple(data.items[i] for i in np.random.default_rng(seed).permutation(len(data))[:count])
    task = TASKS[spec.task]
    return Inputs(len(items), lambda index: task.inputs(items[index : index + 1], spec.input_size, geometry)[0])


def run_geometry(run: Run) -> str:
    """The geometry (`mobile_eval.image.geometry`) of what a run's network is given: its training's."""
    return geometry_of(run.config.get("targets"))


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs (H, W, 3), uint8 RGB, and what they are: IMAGES or RANDOM_IMAGES."""

    images: Inputs
    kind: str

    def head(self, count: int) -> Samples:
        """The first of them."""
        return Samples(self.images.head(count), self.kind)


def sample_inputs(
    run: Run,
    options: ConvertOptions,
    data: TaskDataset | None,
    samples: int,
    seed: int | None,
    memory_budget: int = MEMORY_BUDGET,
) -> Samples:
    """Inputs to take the ranges of `options`' format on, or for a run that has its ranges, to check on alone.

    They are of `data`, or else of what the run was trained on; random ones where neither is there and no ranges are needed.
    Where they do not fit into `memory_budget` (bytes) they are read anew whenever they are looked at.
    """
    tuned = run.quantized and options.format == "int8"
    data = data or own_data(run)
    if data:
        count, drawn = (CHECKED, None) if tuned else (samples, seed)
        images = inputs_of(data, run.spec, count, drawn, run_geometry(run))
        return Samples(images.kept_within(memory_budget), IMAGES)
    if options.format in ("int8", "int16x8") and not tuned:
        raise HRNetError(
            f"{run.path} was not tuned quantization-aware and the data it was trained on are not there: "
            f"{options.format} needs calibration, give {TASKS[run.spec.task].data_options}"
        )
    return Samples(random_inputs(run.spec.input_size), RANDOM_IMAGES)


def own_data(run: Run) -> TaskDataset | None:
    """The data that a run was trained on; None where they are not there (any more)."""
    source = DataSource.from_json(run.config.get("train") or {})
    if not source.paths or not all(path.exists() for path in source.paths):
        return None
    return TASKS[run.spec.task].load(dataclasses.replace(source, expected=run.category.get("name")))


def random_inputs(size: tuple[int, int]) -> Inputs:
    """Smooth random images, for checking where no real ones are to be had."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (RANDOM, size[0] // 16, size[1] // 16, 3), dtype=np.uint8)
    return Inputs(RANDOM, lambda index: coarse[index].repeat(16, axis=0).repeat(16, axis=1))
