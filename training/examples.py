"""From the persons of a COCO keypoint file to examples to learn from; numpy and opencv only.

Everything random is drawn from (seed, epoch, person), so that a resumed run sees what it would have seen, whoever asks
for its batches. Geometry and preprocessing are `mobile_eval`'s, the same that the device uses.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco import KeypointDataset, Person
from mobile_eval.geometry import Array
from mobile_eval.preprocess import normalize, person_crops, warp_crop
from training.augmentation import Augmentation, JointSides, random_crop
from training.config import TrainingConfig
from training.image_cache import Image, ImageCache, read_person
from training.targets import HeatmapTargets, heatmap_target
from training.unreadable import Unreadable

if TYPE_CHECKING:
    from hrnet_tf.networks import Network

ALIGNMENT = 64  # bytes
Example = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def plain_crops(persons: tuple[Person, ...], spec: Network) -> tuple[NDArray[np.float32], Array]:
    """Crops (N, H, W, 3) as the device sees them, and their matrices (N, 2, 3) from image to crop."""
    crops, matrices = person_crops(persons, spec.input_size)
    return normalize(crops), matrices


def steps_per_epoch(data: KeypointDataset, batch_size: int) -> int:
    """Full batches in one pass over the data."""
    steps = len(data) // batch_size
    if not steps:
        raise ValueError(f"{len(data)} persons are less than one batch of {batch_size}; give a smaller --batch-size")
    return steps


def augmented_example(
    person: Person,
    image: Image,
    joints: JointSides,
    spec: Network,
    targets: HeatmapTargets,
    augmentation: Augmentation,
    rng: np.random.Generator,
    out: tuple[NDArray[np.float32], NDArray[np.float32]] | tuple[None, None] = (None, None),
) -> Example:
    """One crop (H, W, 3) at random, its heatmaps (H/4, W/4, K) and joint weights (K,); `out` is where the first two go."""
    matrix, mirrored = random_crop(person.box, person.keypoints, joints.upper, spec.input_size, augmentation, rng)
    keypoints = person.keypoints[joints.mirrored] if mirrored else person.keypoints
    crop = normalize(warp_crop(image, matrix, spec.input_size), out=out[0])
    return crop, *heatmap_target(keypoints, matrix, spec.resolution(0), targets, out[1])


class Examples:
    """Batches of augmented examples by (epoch, number), each made anew when asked for, and always the same.

    `together` batches make a step, one for each device. The persons after an epoch's last full step only stand in for
    those whose image cannot be read.
    """

    def __init__(
        self,
        data: KeypointDataset,
        spec: Network,
        batch_size: int,
        seed: int,
        targets: HeatmapTargets,
        augmentation: Augmentation,
        cache: ImageCache | None = None,
        together: int = 1,
    ):
        self.data = data
        self.spec = spec
        self.batch_size = batch_size
        self.seed = seed
        self.targets = targets
        self.augmentation = augmentation
        self.cache = cache
        self.read = cache.read if cache else read_person
        self.joints = JointSides.of(data.category)
        self.together = together
        self.steps = steps_per_epoch(data, batch_size * together)
        self.unreadable = Unreadable(self.steps * together * batch_size)
        self.order = lru_cache(maxsize=2)(self._permutation)

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, epoch)).permutation(len(self.data))

    def batch(self, epoch: int, number: int) -> Example:
        """Crops (B, H, W, 3), heatmaps (B, H/4, W/4, K) and joint weights (B, 1, 1, K).

        In the place of a person whose image cannot be read comes the next of the epoch's order that can be.
        """
        count, spec = self.batch_size, self.spec
        crops, heatmaps = aligned((count, *spec.input_size, 3)), aligned((count, *spec.resolution(0), spec.classes))
        weights = np.empty((count, 1, 1, spec.classes), np.float32)
        for place, crop, maps, weight in zip(range(number * count, (number + 1) * count), crops, heatmaps, weights, strict=True):
            weight[:] = self._example(epoch, *self._readable(epoch, place), (crop, maps))[2]
        return crops, heatmaps, weights

    def _readable(self, epoch: int, place: int) -> tuple[int, Image]:
        """The first person from that place of the epoch's order on whose image can be read, and the image."""
        order = self.order(epoch)
        while True:  # ends at the latest where `unreadable` has had enough
            person = int(order[place % len(order)])
            try:
                return person, self.read(self.data.persons[person])
            except (ValueError, OSError) as error:
                self.unreadable.add(epoch, person, str(error))
            place += 1

    def _example(self, epoch: int, index: int, image: Image, out: tuple[NDArray[np.float32], NDArray[np.float32]]) -> Example:
        person, rng = self.data.persons[index], np.random.default_rng((self.seed, epoch, index))
        return augmented_example(person, image, self.joints, self.spec, self.targets, self.augmentation, rng, out)


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An empty array on whose address TensorFlow can work without copying it."""
    size = 4 * math.prod(shape)
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(np.float32).reshape(shape)


def examples_for(data: KeypointDataset, spec: Network, config: TrainingConfig, cache: ImageCache | None = None) -> Examples:
    """The examples that a config asks for."""
    augmentation = Augmentation(
        config.rotation, config.rotation_probability, config.scale, config.flip_probability, config.half_body_probability
    )
    targets = HeatmapTargets(config.targets, config.sigma)
    return Examples(data, spec, config.batch_size, config.seed, targets, augmentation, cache, config.devices)
