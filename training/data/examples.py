"""Batches of training examples, with numpy and OpenCV only.

Randomness depends on (seed, epoch, item) alone, so that a resumed training gets the same batches. The `ExampleBuilder` of the
task builds an example; geometry and preprocessing are those of `mobile_eval`, which the device uses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

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
from training.data.image_cache import ImageCache
from training.tasks.base import ExampleBuilder, Image
from training.tasks.registry import training_task

if TYPE_CHECKING:
    from hrnet_tf.spec.architectures import Network

ALIGNMENT_BYTES = 64
BATCH_SEED = 0x6D6978  # separates the randomness of a batch from that of its items

Batch: TypeAlias = tuple[NDArray[np.float32], ...]  # images, targets and, for some tasks, sample weights


def evaluation_inputs(items: Sequence[Any], spec: Network, geometry: Geometry = STANDARD) -> NDArray[np.float32]:
    """Return the normalized inputs (N, H, W, 3) of a network for items of a data set, as on the device."""
    return normalize(TASKS[spec.task].inputs(items, spec.input_size, geometry))


def evaluation_batches(
    items: Sequence[Any], size: int, spec: Network, geometry: Geometry = STANDARD
) -> Iterator[NDArray[np.float32]]:
    """Yield `evaluation_inputs` of `size` items at a time."""
    for start in range(0, len(items), size):
        yield evaluation_inputs(items[start : start + size], spec, geometry)


def steps_per_epoch(data: TaskDataset, batch_size: int) -> int:
    """Return the number of full batches in a pass over the data; HRNetError where there is none."""
    steps = len(data) // batch_size
    if not steps:
        raise HRNetError(f"{len(data)} examples are fewer than a batch of {batch_size}; give a smaller `batch_size`")
    return steps


class Examples:
    """Batches of augmented examples by epoch and number, the same whenever they are built.

    The items after the last full step of an epoch only replace those whose image cannot be read.

    Args:
        data: The training set.
        example_builder: Builds the examples of its items.
        batch_size: Number of examples in a batch.
        seed: Seed of everything random.
        cache: Cache of decoded images, if any.
        devices: Number of devices: a step has a batch for each.
    """

    def __init__(
        self,
        data: TaskDataset,
        example_builder: ExampleBuilder,
        batch_size: int,
        seed: int,
        cache: ImageCache | None = None,
        devices: int = 1,
    ):
        self.data = data
        self.example_builder = example_builder
        self.batch_size = batch_size
        self.seed = seed
        self.cache = cache
        self.read = cache.read if cache else read_item
        self.devices = devices
        self.steps = steps_per_epoch(data, batch_size * devices)
        self.skipped = SkippedImages(self.steps * devices * batch_size)
        self.order = lru_cache(maxsize=2)(self._permutation)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of a batch's arrays: images (B, H, W, 3), targets (B, ...) and, for some tasks, sample weights (B, ...)."""
        return [(self.batch_size, *shape) for shape in self.example_builder.shapes]

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, epoch)).permutation(len(self.data))

    def batch(self, epoch: int, number: int) -> Batch:
        """Return the arrays of a batch, of these `shapes`.

        An item whose image cannot be read is replaced by the next readable one in the order of the epoch.
        """
        arrays = tuple(map(aligned, self.shapes))
        for row in range(self.batch_size):
            index, image = self._readable_item(epoch, number * self.batch_size + row)
            rng = np.random.default_rng((self.seed, epoch, index))
            try:
                self.example_builder.augmented(index, image, rng, [array[row] for array in arrays])
            except HRNetError as error:
                self.skipped.error = self.skipped.error or error
                raise
        self.example_builder.mix(arrays, np.random.default_rng((self.seed, epoch, number, BATCH_SEED)))
        return arrays

    def _readable_item(self, epoch: int, position: int) -> tuple[int, Image]:
        """Return the index and image of the first readable item from a position in the order of the epoch."""
        order = self.order(epoch)
        while True:  # `skipped` raises before all items are tried
            index = int(order[position % len(order)])
            try:
                return index, self.read(self.data.items[index])
            except (HRNetError, OSError) as error:
                self.skipped.add(epoch, index, str(error))
            position += 1


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return an empty array at an address that TensorFlow can use without a copy."""
    size = 4 * math.prod(shape)
    memory = np.empty(size + ALIGNMENT_BYTES, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT_BYTES
    return memory[start : start + size].view(np.float32).reshape(shape)


def examples_for(data: TaskDataset, spec: Network, config: TrainingConfig, cache: ImageCache | None = None) -> Examples:
    """Return the training examples of a data set for a network and a config."""
    builder = training_task(spec.task).example_builder(data, spec, config.settings)
    return Examples(data, builder, config.data.batch_size, config.seed, cache, config.devices)
