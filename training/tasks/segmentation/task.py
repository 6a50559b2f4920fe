"""What segmentation brings to training."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.models.build import Network
from mobile_eval.datasets.base import label_names
from mobile_eval.datasets.frames import size_as_read
from mobile_eval.datasets.masks import MaskedImage, MaskedImages, read_mask
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import check_size
from mobile_eval.image.prefetch import ahead
from mobile_eval.metrics.confusion import IGNORED, confusion, intersections_over_unions, mean_known
from mobile_eval.model.description import unnamed_classes
from mobile_eval.progress import tracked
from mobile_eval.tasks.segmentation.evaluate import most_likely
from mobile_eval.tasks.segmentation.task import METRIC
from mobile_eval.viz.masks import mask_overlay
from training.tasks.base import Array, Image, TrainingTask, divergence
from training.tasks.class_weights import weights_by_median_frequency
from training.tasks.segmentation.examples import MaskMaker, check_mask_size
from training.tasks.segmentation.settings import Settings

LEAST_HELD = 0.25  # of the indices of classes that are not named
OF_THE_PAPER = ("segment-w40", "segment-w48")


class MiouScorer:
    """mIoU of whole images at their masks' own size."""

    def __init__(self, data: MaskedImages, spec: Network):
        self.images = data.images
        self.counts = np.zeros((spec.classes, spec.classes), np.int64)
        self._done = 0

    def update(self, predicted: Array) -> None:
        """Logits (n, h, w, classes) of the next n images."""
        for logits in np.asarray(predicted, np.float32):
            mask = read_mask(self.images[self._done].mask_path, len(self.counts))
            height, width = mask.shape
            self.counts += confusion(mask, most_likely(logits, (height, width)), len(self.counts), IGNORED)
            self._done += 1

    def result(self) -> float:
        """The mean of the classes' IoU."""
        return mean_known(intersections_over_unions(self.counts))


def pixel_loss(settings: Settings) -> Any:
    """The Keras loss that these settings ask for."""
    from training.tasks.segmentation.losses import PixelCrossEntropy

    return PixelCrossEntropy(settings.class_weights, settings.ohem, settings.ohem_kept)


def draw_masks(images: Image, maps: Array, answers: dict[str, Any]) -> Image:
    """Images (n, H, W, 3) RGB under the classes of targets (n, h, w) or of logits (n, h, w, classes)."""
    size, names = images.shape[1:3], label_names(answers)
    masks = [most_likely(one, size) if one.ndim == len("HWC") else _enlarged(one, size) for one in np.asarray(maps, np.float32)]
    return np.stack([mask_overlay(image, mask, names) for image, mask in zip(images, masks, strict=True)])


def _enlarged(mask: Array, size: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return mask.astype(np.int64).repeat(size[0] // len(mask), axis=0).repeat(size[1] // mask.shape[1], axis=1)


def check_masks(data: MaskedImages, settings: Settings, learning: bool) -> None:
    """Raise HRNetError for a mask that cannot be read, holds what is no class, or is not of its image's size.

    Data to learn from need two classes, and where these are not named, masks that hold more than a few of their indices: others
    are greys to look at. Of images that cannot be read nothing is said: training passes over a few of these.
    """

    def checked(one: MaskedImage) -> NDArray[np.bool_]:
        mask = read_mask(one.mask_path, len(data.classes))
        size = None
        with contextlib.suppress(HRNetError):  # an image that cannot be read
            named = size_as_read(one.image_path, upright=one.upright)
            check_size(named, f"image {one.image_path}")
            size = named
        if size is not None:
            check_mask_size(one, mask.shape, size)
        return np.bincount(mask.ravel(), minlength=IGNORED + 1)[: len(data.classes)] > 0

    held = np.zeros(len(data.classes), np.bool_)
    for classes in tracked(ahead(checked, data.images), "masks", total=len(data)):
        held |= classes
    if not learning:
        return
    if len(held) < 2:
        raise HRNetError(
            f"segmentation needs two classes, and there is one, {data.classes[0]}: do the masks hold indices 0, 1, ...?"
        )
    if data.classes == unnamed_classes(len(held)) and held.sum() < len(held) * LEAST_HELD:
        few = ", ".join(map(str, np.flatnonzero(held)))
        raise HRNetError(
            f"the masks hold {held.sum()} of the class indices 0 to {len(held) - 1} ({few}): write 0, 1, ... in place of greys "
            "to look at, or name all classes by `classes`"
        )


def balancing_weights(data: MaskedImages) -> NDArray[np.float64]:
    """Weights (classes,) by how many pixels of the masks are of each."""
    classes = len(data.classes)

    def counted(one: MaskedImage) -> NDArray[Any]:
        mask = read_mask(one.mask_path, classes)
        return np.bincount(mask[mask != IGNORED], minlength=classes)

    counts = tracked(ahead(counted, data.images), "masks", total=len(data))
    return weights_by_median_frequency(counts, classes)


def _recipe(spec: Network) -> str:
    """The paper's for its networks."""
    return "cityscapes" if spec.name in OF_THE_PAPER else "small"


TASK = TrainingTask(
    metric=METRIC,
    noun="images",
    maker=MaskMaker,
    loss=pixel_loss,
    imitation=divergence,
    scorer=MiouScorer,
    recipe=_recipe,
    draw=draw_masks,
    class_weights=balancing_weights,
    check=check_masks,
)
