"""Training examples of detection: image and boxes through the same random crop.

The target of an image is one array of fixed shape, (1 + boxes, 5). The first row holds a number that seeds the random sampling of
the losses, so that it depends on the item and the epoch only. The other rows are boxes: corners x1, y1, x2, y2 in pixels of the
input, and the class, which is NO_BOX in rows without a box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.types import Tensor
from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.coco.detection import DetectionDataset, DetectionImage
from mobile_eval.image.preprocess import normalize, resize, warp_crop
from training.tasks.base import Array, ExampleBuilder, Image
from training.tasks.crop import Matrix, random_zoom_crop
from training.tasks.detection.settings import DetectionSettings

NO_BOX = -1
SEEDS = 2**20  # numbers of this size are exact in float32, and so are sums over a batch
MIN_VISIBLE = 0.3  # boxes of which a smaller fraction is inside the crop are dropped
MIN_SIDE = 2.0  # pixels


class BoxExampleBuilder(ExampleBuilder):
    """Builds images (H, W, 3) and targets (1 + boxes, 5), with as many rows as the image with most boxes needs."""

    def __init__(self, data: DetectionDataset, spec: Network, settings: DetectionSettings):
        self.images = data.images
        self.size = spec.input_size
        self.settings = settings
        height, width = spec.input_size
        max_boxes = max([1, *(len(image.boxes) for image in data.images)])  # at least one row, also for background only
        self.shapes = ((height, width, 3), (1 + max_boxes, 5))

    def augmented(self, index: int, image: Image, rng: np.random.Generator, out: Sequence[Array]) -> None:
        matrix = random_zoom_crop(image.shape[:2], self.size, self.settings, rng)
        crop = color_jittered(warp_crop(image, matrix, self.size), self.settings.color_jitter, rng)
        normalize(crop, out=out[0])
        boxes, labels = visible_boxes(self.images[index], matrix, self.size)
        pack(boxes, labels, int(rng.integers(SEEDS)), out[1])

    def plain(self, index: int, image: Image, out: Sequence[Array]) -> None:
        normalize(resize(image, self.size), out=out[0])
        no_augmentation = DetectionSettings(flip_probability=0.0)
        matrix = random_zoom_crop(image.shape[:2], self.size, no_augmentation, np.random.default_rng(0))
        boxes, labels = visible_boxes(self.images[index], matrix, self.size)
        pack(boxes, labels, index, out[1])


def visible_boxes(item: DetectionImage, matrix: Matrix, size: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the boxes of an image that are visible in a crop.

    Args:
        item: The image.
        matrix: Matrix (2, 3) from image to crop pixels, without rotation.
        size: Height and width of the crop.

    Returns:
        Corners (N, 4), clipped to the crop, and classes (N,).
    """
    corners = np.concatenate([item.boxes[:, :2], item.boxes[:, :2] + item.boxes[:, 2:]], axis=1).reshape(-1, 2, 2)
    scale, shift = np.diag(matrix[:, :2]), matrix[:, 2]
    warped = np.sort((corners - 0.5) * scale + shift + 0.5, axis=1)  # the matrix maps pixel centres; a flip swaps corners
    clipped = np.clip(warped, 0, np.array(size[::-1], np.float64))
    sides = clipped[:, 1] - clipped[:, 0]
    full_areas = np.prod(warped[:, 1] - warped[:, 0], axis=1)
    visible = (np.prod(sides, axis=1) >= MIN_VISIBLE * full_areas) & np.all(sides >= MIN_SIDE, axis=1)
    return clipped[visible].reshape(-1, 4), item.labels[visible]


def color_jittered(image: Image, max_change: float, rng: np.random.Generator) -> Image:
    """Change contrast and brightness of an image at random by at most a fraction `max_change`."""
    if not max_change:
        return image
    contrast, brightness = rng.uniform(1 - max_change, 1 + max_change), 255 * rng.uniform(-max_change, max_change) / 2
    levels = np.clip(np.rint((np.arange(256) - 127.5) * contrast + 127.5 + brightness), 0, 255).astype(np.uint8)
    return np.asarray(levels[image], np.uint8)


def pack(boxes: NDArray[np.float64], labels: NDArray[np.int64], seed: int, out: Array) -> None:
    """Write boxes (N, 4), labels (N,) and the seed of an image into its target, `out` (1 + boxes, 5)."""
    out[:] = 0
    out[0, 0] = seed % SEEDS
    out[1:, 4] = NO_BOX
    out[1 : 1 + len(boxes), :4] = boxes
    out[1 : 1 + len(boxes), 4] = labels


def unpack(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the boxes (..., N, 4) and labels (..., N) of targets, which are numpy arrays or tensors."""
    return targets[..., 1:, :4], targets[..., 1:, 4]


def seeds(targets: Tensor) -> Tensor:
    """Return the seeds (N,) of the targets of a batch (N, 1 + boxes, 5)."""
    return targets[:, 0, 0]
