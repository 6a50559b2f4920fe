"""Examples of images with one class: a part of random size and aspect, mirrored and changed at random."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from hrnet_tf.models.build import Network
from mobile_eval.datasets.classification import ClassificationDataset
from mobile_eval.image.preprocess import normalize, resized_centre
from training.tasks.base import Array, Image, Maker
from training.tasks.classification.mixing import cutmix, mixup
from training.tasks.classification.settings import Settings

ATTEMPTS = 10


class ClassMaker(Maker):
    """Images (H, W, 3) and labels (classes,), one-hot before they are mixed."""

    def __init__(self, data: ClassificationDataset, spec: Network, settings: Settings):
        self.images = data.images
        self.size = spec.input_size
        self.settings = settings
        self.shapes = ((*spec.input_size, 3), (len(data.classes),))

    def example(self, index: int, image: Image, rng: np.random.Generator, out: Sequence[Array]) -> None:
        settings = self.settings
        top, left, height, width = random_part(image.shape[:2], settings.crop_smallest, settings.crop_ratio, rng)
        part: Any = image[top : top + height, left : left + width]
        smaller = height > self.size[0] or width > self.size[1]
        part = cv2.resize(part, self.size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        if rng.random() < settings.flip_probability:
            part = part[:, ::-1]
        if settings.upside_down_probability and rng.random() < settings.upside_down_probability:
            part = part[::-1]
        part = np.ascontiguousarray(part, np.uint8)
        if settings.randaugment:
            from training.tasks.classification.randaugment import randaugment  # Pillow is only needed here

            part = randaugment(part, settings.randaugment, settings.randaugment_magnitude, rng)
        self._write(index, part, out)

    def plain(self, index: int, image: Image, out: Sequence[Array]) -> None:
        self._write(index, resized_centre(image, self.size), out)

    def mix(self, batch: Sequence[Array], rng: np.random.Generator) -> None:
        alphas = {kind: alpha for kind, alpha in ((mixup, self.settings.mixup), (cutmix, self.settings.cutmix)) if alpha}
        if alphas:
            kind = list(alphas)[rng.integers(len(alphas))]
            kind(batch[0], batch[1], alphas[kind], rng)

    def _write(self, index: int, image: Image, out: Sequence[Array]) -> None:
        normalize(image, out=out[0])
        out[1][:] = 0
        out[1][self.images[index].label] = 1


def random_part(shape: tuple[int, ...], smallest: float, ratio: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a part of an image of `shape` (height, width), as torchvision's RandomResizedCrop draws it.

    Its area is a share from `smallest` to 1, its width over height from 1 / `ratio` to `ratio`. The middle where none fits.
    """
    whole_height, whole_width = shape[:2]
    for _ in range(ATTEMPTS):
        area = whole_height * whole_width * rng.uniform(smallest, 1)
        aspect = math.exp(rng.uniform(-math.log(ratio), math.log(ratio)))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < width <= whole_width and 0 < height <= whole_height:
            return int(rng.integers(whole_height - height + 1)), int(rng.integers(whole_width - width + 1)), height, width
    height, width = min(whole_height, round(whole_width * ratio)), min(whole_width, round(whole_height * ratio))
    return (whole_height - height) // 2, (whole_width - width) // 2, height, width
