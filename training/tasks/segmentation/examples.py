"""Training examples of segmentation: image and mask through the same random crop."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.segmentation import SegmentationDataset, SegmentationImage, read_mask
from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import normalize, resize, warp_crop
from mobile_eval.metrics.confusion import IGNORED
from training.tasks.base import Array, ExampleBuilder, Image
from training.tasks.crop import Matrix, random_zoom_crop
from training.tasks.segmentation.settings import SegmentationSettings


class MaskExampleBuilder(ExampleBuilder):
    """Builds images (H, W, 3) and class indices (H / stride, W / stride), 255 where the loss ignores a pixel."""

    def __init__(self, data: SegmentationDataset, spec: Network, settings: SegmentationSettings):
        self.images = data.images
        self.classes = len(data.classes)
        self.size = spec.input_size
        self.settings = settings
        self.stride = settings.loss_stride
        height, width = spec.input_size
        self.shapes = ((height, width, 3), (height // self.stride, width // self.stride))

    def augmented(self, index: int, image: Image, rng: np.random.Generator, out: Sequence[Array]) -> None:
        mask = self._mask(self.images[index], image)
        matrix = random_zoom_crop(image.shape[:2], self.size, self.settings, rng)
        normalize(warp_crop(image, matrix, self.size), out=out[0])
        out[1][:] = warp_mask(mask, matrix, self.size)[:: self.stride, :: self.stride]

    def plain(self, index: int, image: Image, out: Sequence[Array]) -> None:
        normalize(resize(image, self.size), out=out[0])
        mask = cv2.resize(self._mask(self.images[index], image), self.size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        out[1][:] = mask[:: self.stride, :: self.stride]

    def _mask(self, item: SegmentationImage, image: Image) -> Image:
        mask = read_mask(item.mask_path, self.classes)
        check_mask_size(item, mask.shape, image.shape[:2])
        return mask


def check_mask_size(item: SegmentationImage, mask_size: tuple[int, ...], image_size: tuple[int, ...]) -> None:
    """Raise HRNetError unless a mask has the size (height, width) of its image."""
    if mask_size != image_size:
        sizes = ["x".join(map(str, size)) for size in (mask_size, image_size)]
        raise HRNetError(f"mask {item.mask_path} is {sizes[0]} (height x width), but its image {item.image_path} is {sizes[1]}")


def warp_mask(mask: Image, matrix: Matrix, size: tuple[int, int]) -> Image:
    """Warp class indices (H, W) by `matrix` to `size`: those of the nearest pixels, 255 outside."""
    warped = cv2.warpAffine(
        mask, matrix, size[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORED
    )
    return np.asarray(warped, np.uint8)
