"""Training examples of classification: a random crop, flipped and augmented at random, and the label."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.classification import ClassificationDataset
from mobile_eval.image.preprocess import normalize, resized_center
from training.tasks.base import Array, ExampleBuilder, Image
from training.tasks.classification.augmentation import cutmix, mixup, random_resized_crop
from training.tasks.classification.settings import ClassificationSettings


class ClassExampleBuilder(ExampleBuilder):
    """Builds images (H, W, 3) and labels (classes,), one-hot before they are mixed."""

    def __init__(self, data: ClassificationDataset, spec: Network, settings: ClassificationSettings):
        self.images = data.images
        self.size = spec.input_size
        self.settings = settings
        self.shapes = ((*spec.input_size, 3), (len(data.classes),))

    def augmented(self, index: int, image: Image, rng: np.random.Generator, out: Sequence[Array]) -> None:
        settings = self.settings
        top, left, height, width = random_resized_crop(image.shape[:2], settings.min_crop_area, settings.max_crop_aspect, rng)
        shrinks = height > self.size[0] or width > self.size[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        crop = np.asarray(
            cv2.resize(image[top : top + height, left : left + width], self.size[::-1], interpolation=interpolation), np.uint8
        )
        if rng.random() < settings.flip_probability:
            crop = crop[:, ::-1]
        if settings.vertical_flip_probability and rng.random() < settings.vertical_flip_probability:
            crop = crop[::-1]
        crop = np.ascontiguousarray(crop)
        if settings.randaugment:
            from training.tasks.classification.randaugment import randaugment  # the only place that needs Pillow

            crop = randaugment(crop, settings.randaugment, settings.randaugment_magnitude, rng)
        self._write(index, crop, out)

    def plain(self, index: int, image: Image, out: Sequence[Array]) -> None:
        self._write(index, resized_center(image, self.size), out)

    def mix(self, batch: Sequence[Array], rng: np.random.Generator) -> None:
        """Apply MixUp or CutMix, one of those that are set at random."""
        alphas = {function: alpha for function, alpha in ((mixup, self.settings.mixup), (cutmix, self.settings.cutmix)) if alpha}
        if alphas:
            function = list(alphas)[rng.integers(len(alphas))]
            function(batch[0], batch[1], alphas[function], rng)

    def _write(self, index: int, image: Image, out: Sequence[Array]) -> None:
        normalize(image, out=out[0])
        out[1][:] = 0
        out[1][self.images[index].label] = 1
