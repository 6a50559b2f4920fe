"""From the items of a data set to examples to learn from; numpy and opencv only.

Everything random is drawn from (seed, epoch, item), so that a resumed run sees what it would have seen, whoever asks
for its batches. What an example is, the task's `ExampleBuilder` says; geometry and preprocessing are `mobile_eval`'s, the same
that the device uses.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.image.image_file import read_item
from mobile_eval.image.preprocess import normalize
from mobile_eval.tasks.registry import TASKS
from training.config import TrainingConfig
from training.data.damaged_images import SkippedImages
from training.data.image_cache import Image, ImageCache
from training.tasks.base import ExampleBuilder
from training.tasks.registry import training_task

if TYPE_CHECKING:
    from hrnet_tf.spec.architectures import Network

ALIGNMENT = 64  # bytes
WORKERS = 2 if (os.cpu_count() or 1) < 4 else 4  # batches made at a time; more would wait for Python
BATCH_SEED = 0x6D6978  # sets what a batch draws as a whole apart from what its items draw
Example = tuple[NDArray[np.float32], ...]


def evaluation_inputs(items: Sequence[Any], spec: Network, geometry: Geometry = STANDARD) -> NDArray[np.float32]:
    """What a network of that geometry is given of items (N, H, W, 3), as on the device, normalized."""
    return normalize(TASKS[spec.task].inputs(items, spec.input_size, geometry))


def evaluation_batches(
    items: Sequence[Any], size: int, spec: Network, geometry: Geometry = STANDARD
) -> Iterator[NDArray[np.float32]]:
    """`evaluation_inputs` of `size` items at a time, made when they are asked for."""
    for start in range(0, len(items), size):
        yield evaluation_inputs(items[start : start + size], spec, geometry)


def steps_per_epoch(data: TaskDataset, batch_size: int) -> int:
    """Full batches in one pass over the data."""
    steps = len(data) // batch_size
    if not steps:
        raise HRNetError(f"{len(data)} examples are less than one batch of {batch_size}; give a smaller `batch_size`")
    return steps


class Examples:
    """Batches of augmented examples by (epoch, number), each made anew when asked for, and always the same.

    `together` batches make a step, one for each device. The items after an epoch's last full step only stand in for
    those whose image cannot be read.
    """

    def __init__(
        self,
        data: TaskDataset,
        example_builder: ExampleBuilder,
        batch_size: int,
        seed: int,
        cache: ImageCache | None = None,
        together: int = 1,
    ):
        self.data = data
        self.example_builder = example_builder
        self.batch_size = batch_size
        self.seed = seed
        self.cache = cache
        self.read = cache.read if cache else read_item
        self.together = together
        self.steps = steps_per_epoch(data, batch_size * together)
        self.unreadable = SkippedImages(self.steps * together * batch_size)
        self.order = lru_cache(maxsize=2)(self._permutation)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Those of a batch's arrays: images (B, H, W, 3), targets (B, ...) and, where the task has them, weights (B, ...)."""
        return [(self.batch_size, *shape) for shape in self.example_builder.shapes]

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, epoch)).permutation(len(self.data))

    def batch(self, epoch: int, number: int) -> Example:
        """The arrays of a batch, of these `shapes`.

        In the place of an item whose image cannot be read comes the next of the epoch's order that can be.
        """
        arrays = tuple(map(aligned, self.shapes))
        for own in range(self.batch_size):
            index, image = self._readable(epoch, number * self.batch_size + own)
            rng = np.random.default_rng((self.seed, epoch, index))
            try:
                self.example_builder.augmented(index, image, rng, [array[own] for array in arrays])
            except HRNetError as error:
                self.unreadable.failed = self.unreadable.failed or error
                raise
        self.example_builder.mix(arrays, np.random.default_rng((self.seed, epoch, number, BATCH_SEED)))
        return arrays

    def _readable(self, epoch: int, place: int) -> tuple[int, Image]:
        """The first item from that place of the epoch's order on whose image can be read, and the image."""
        order = self.order(epoch)
        while True:  # ends at the latest where `unreadable` has had enough
            index = int(order[place % len(order)])
            try:
                return index, self.read(self.data.items[index])
            except (HRNetError, OSError) as error:
                self.unreadable.add(epoch, index, str(error))
            place += 1


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An empty array on whose address TensorFlow can work without copying it."""
    size = 4 * math.prod(shape)
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(np.float32).reshape(shape)


def examples_for(data: TaskDataset, spec: Network, config: TrainingConfig, cache: ImageCache | None = None) -> Examples:
    """The examples that a config asks for."""
    example_builder = training_task(spec.task).example_builder(data, spec, config.settings)
    return Examples(data, example_builder, config.batch_size, config.seed, cache, config.devices)
