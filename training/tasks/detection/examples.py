"""Examples of images with boxes: zoomed, cropped or bordered, and mirrored at random, image and boxes by one warp."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.models.build import Network
from mobile_eval.datasets.coco.detection import DetectionDataset, DetectionImage
from mobile_eval.image.preprocess import normalize, resize, warp_crop
from training.tasks.base import Array, Image, Maker
from training.tasks.crop import Matrix, random_window
from training.tasks.detection.settings import Settings
from training.tasks.detection.targets import SEEDS, pack

SEEN = 0.3  # a box of which less than this share is in the window is no object any more
LEAST_SIDE = 2.0  # pixels


class BoxMaker(Maker):
    """Images (H, W, 3) and targets (1 + most boxes of an image, 5), see `targets`."""

    def __init__(self, data: DetectionDataset, spec: Network, settings: Settings):
        self.images = data.images
        self.size = spec.input_size
        self.settings = settings
        height, width = spec.input_size
        most = max([1, *(len(image.boxes) for image in data.images)])  # one row at least, of images that are all background
        self.shapes = ((height, width, 3), (1 + most, 5))

    def example(self, index: int, image: Image, rng: np.random.Generator, out: Sequence[Array]) -> None:
        matrix = random_window(image.shape[:2], self.size, self.settings, rng)
        window = relit(warp_crop(image, matrix, self.size), self.settings.light, rng)
        normalize(window, out=out[0])
        boxes, labels = seen_boxes(self.images[index], matrix, self.size)
        pack(boxes, labels, int(rng.integers(SEEDS)), out[1])

    def plain(self, index: int, image: Image, out: Sequence[Array]) -> None:
        normalize(resize(image, self.size), out=out[0])
        matrix = random_window(image.shape[:2], self.size, Settings(flip_probability=0.0), np.random.default_rng(0))
        boxes, labels = seen_boxes(self.images[index], matrix, self.size)
        pack(boxes, labels, index, out[1])


def seen_boxes(item: DetectionImage, matrix: Matrix, size: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The corners (N, 4) and classes (N,) of an image's boxes, seen through `matrix` (2, 3) without rotation."""
    corners = np.concatenate([item.boxes[:, :2], item.boxes[:, :2] + item.boxes[:, 2:]], axis=1).reshape(-1, 2, 2)
    scale, shift = np.diag(matrix[:, :2]), matrix[:, 2]
    moved = np.sort((corners - 0.5) * scale + shift + 0.5, axis=1)  # the matrix is of pixels' centres; mirroring turns corners
    cut = np.clip(moved, 0, np.array(size[::-1], np.float64))
    sides = cut[:, 1] - cut[:, 0]
    whole = np.prod(moved[:, 1] - moved[:, 0], axis=1)
    seen = (np.prod(sides, axis=1) >= SEEN * whole) & np.all(sides >= LEAST_SIDE, axis=1)
    return cut[seen].reshape(-1, 4), item.labels[seen]


def relit(image: Image, most: float, rng: np.random.Generator) -> Image:
    """The image with contrast and brightness changed at random by at most this share."""
    if not most:
        return image
    contrast, brightness = rng.uniform(1 - most, 1 + most), 255 * rng.uniform(-most, most) / 2
    levels = np.clip(np.rint((np.arange(256) - 127.5) * contrast + 127.5 + brightness), 0, 255).astype(np.uint8)
    return np.asarray(levels[image], np.uint8)
