"""Images for calibration and for comparing a file with its Keras model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from conversion.options import ConvertOptions
from hrnet_tf.backend.datasets import InputData, inputs_head
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.datasets.base import DataSource, TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import STANDARD, Geometry, geometry_of
from mobile_eval.model.description import IMAGES, RANDOM_IMAGES
from mobile_eval.tasks.registry import TASKS

CALIBRATION_SAMPLES = 200
PARITY_SAMPLES = 16
RANDOM_SAMPLES = 4
RANDOM_IMAGES_NOTE = "compared on random images: no others were given, nor was the training data of a run found"
RANDOM_CELL = 16  # pixels: random images are made of squares of one color

Number = TypeVar("Number", bound=np.generic, covariant=True)
Result = TypeVar("Result", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Inputs(Generic[Number]):
    """A sequence of arrays, each loaded when it is read.

    Attributes:
        count: Length of the sequence.
        load: Loads the array at an index.
    """

    count: int
    load: Callable[[int], NDArray[Number]]

    @classmethod
    def of(cls, arrays: Sequence[NDArray[Number]] | NDArray[Number]) -> Inputs[Number]:
        """Read the arrays of another sequence."""
        return cls(len(arrays), arrays.__getitem__)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> NDArray[Number]:
        if not 0 <= index < self.count:
            raise IndexError(f"index must be between 0 and {self.count - 1}, got {index}")
        return self.load(index)

    def __iter__(self) -> Iterator[NDArray[Number]]:
        return map(self.load, range(self.count))

    def head(self, count: int) -> Inputs[Number]:
        """Return the first `count` arrays, or all if there are fewer."""
        return Inputs(min(count, self.count), self.load)

    def map(self, function: Callable[[NDArray[Number]], NDArray[Result]]) -> Inputs[Result]:
        """Apply `function` to each array when it is read."""
        return Inputs(self.count, lambda index: function(self.load(index)))

    def batches(self, size: int) -> Iterator[NDArray[Number]]:
        """Stack the arrays in batches (N, ...) of up to `size`."""
        for start in range(0, self.count, size):
            yield np.stack([self.load(index) for index in range(start, min(start + size, self.count))])

    def cached(self, memory_budget: int) -> Inputs[Number]:
        """Load all arrays now and keep them, if they fit into `memory_budget` bytes."""
        if not self.count:
            return self
        first = self.load(0)
        if self.count * first.nbytes > memory_budget:
            return self
        arrays = [first, *(self.load(index) for index in range(1, self.count))]
        return Inputs(self.count, arrays.__getitem__)


@dataclass(frozen=True, eq=False)
class Samples:
    """Images (H, W, 3), and their kind: IMAGES or RANDOM_IMAGES. They are uint8 RGB, or floats as the Keras model takes them."""

    images: Inputs[np.generic]
    kind: str

    def head(self, count: int) -> Samples:
        """Return the first `count` images, or all if there are fewer."""
        return Samples(self.images.head(count), self.kind)


def dataset_inputs(
    data: TaskDataset, spec: Network, count: int = CALIBRATION_SAMPLES, seed: int | None = None, geometry: Geometry = STANDARD
) -> Inputs[np.uint8]:
    """Prepare items of a dataset as inputs of a network.

    Args:
        data: Dataset of the network's task.
        spec: The network.
        count: Number of items.
        seed: Seed for random items; None takes the first.
        geometry: How boxes are cropped, one of `mobile_eval.image.geometry.GEOMETRIES`.

    Returns:
        Images (H, W, 3), uint8 RGB, of the network's input size.
    """
    items = data.head(count).items
    if seed is not None:
        items = tuple(data.items[i] for i in np.random.default_rng(seed).permutation(len(data))[:count])
    task = TASKS[spec.task]
    return Inputs(len(items), lambda index: task.inputs(items[index : index + 1], spec.input_size, geometry)[0])


def sample_inputs(
    run: Run,
    options: ConvertOptions,
    data: TaskDataset | None,
    count: int,
    seed: int | None,
    memory_budget: int = MEMORY_BUDGET,
) -> Samples:
    """Load images for calibration, or only for the comparison with Keras if the run holds its ranges.

    Args:
        run: The run to convert.
        options: Conversion options.
        data: Dataset of the run's task; None means the training data of the run.
        count: Number of calibration images.
        seed: Seed for random items; None takes the first.
        memory_budget: Images are kept in memory if they fit into this many bytes, else loaded each time.

    Returns:
        The images; random ones if there is no data and no calibration is needed.

    Raises:
        HRNetError: If calibration is needed and there is no data.
    """
    has_ranges = run.quantized and options.format == "int8"
    data = data or training_data(run)
    if data:
        number, item_seed = (PARITY_SAMPLES, None) if has_ranges else (count, seed)
        images = dataset_inputs(data, run.spec, number, item_seed, geometry_of(run.config.get("targets")))
        return Samples(images.cached(memory_budget), IMAGES)
    if options.format in ("int8", "int16x8") and not has_ranges:
        raise HRNetError(
            f"{options.format} without quantization-aware training needs calibration, and the training data of {run.path} "
            f"was not found: give {TASKS[run.spec.task].data_options}"
        )
    return Samples(random_inputs(run.spec.input_size), RANDOM_IMAGES)


def representative_samples(
    data: InputData, size: tuple[int, int], options: ConvertOptions, *, has_ranges: bool, count: int
) -> Samples:
    """Read the images that a user's model is calibrated on and compared with.

    Args:
        data: A data set, see `hrnet_tf.backend.datasets.input_batches`; None for none.
        size: (height, width) of the input.
        options: Conversion options.
        has_ranges: Whether the model is quantization-aware, and needs no calibration for int8.
        count: Number of images.

    Returns:
        The images, integers as uint8; random ones if there is no data and no calibration is needed.

    Raises:
        HRNetError: Calibration is needed and there is no data, or its images do not fit.
    """
    calibrates = options.format in ("int8", "int16x8") and not (has_ranges and options.format == "int8")
    if data is None:
        if calibrates:
            raise HRNetError(
                f"`representative_data` is needed for `format` {options.format}: give images to measure the ranges of "
                "activations on, or for int8 a model that `quantize` made"
            )
        return Samples(random_inputs(size), RANDOM_IMAGES)
    if count < 1:
        raise HRNetError(f"`samples` must be at least 1, got {count}")
    images = inputs_head(data, (*size, 3), "representative_data", count if calibrates else PARITY_SAMPLES)
    return Samples(Inputs.of([_checked_image(image) for image in images]), IMAGES)


def _checked_image(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """An image of any dtype as uint8 or float32."""
    if np.issubdtype(image.dtype, np.floating):
        return np.asarray(image, np.float32)
    values = np.asarray(image, np.int64)
    if image.size and not 0 <= values.min() <= values.max() <= 255:
        raise HRNetError(f"`representative_data` has integers from {values.min()} to {values.max()}; expected bytes, or floats")
    return np.asarray(image, np.uint8)


def training_data(run: Run) -> TaskDataset | None:
    """Load the training data of a run; None if it was not found."""
    source = DataSource.from_json(run.config.get("train") or {})
    if not source.paths or not all(path.exists() for path in source.paths):
        return None
    return TASKS[run.spec.task].load(dataclasses.replace(source, expected=run.category.get("name")))


def random_inputs(size: tuple[int, int]) -> Inputs[np.uint8]:
    """Make random images of `size` (height, width), of squares of one color: always the same."""
    rng = np.random.default_rng(0)
    (height, width), cells_per_side = size, [-(-side // RANDOM_CELL) for side in size]
    cells = rng.integers(0, 256, (RANDOM_SAMPLES, *cells_per_side, 3), dtype=np.uint8)

    def load(index: int) -> NDArray[np.uint8]:
        return cells[index].repeat(RANDOM_CELL, axis=0).repeat(RANDOM_CELL, axis=1)[:height, :width]

    return Inputs(RANDOM_SAMPLES, load)
