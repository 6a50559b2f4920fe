"""The training side of segmentation."""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.types import KerasLoss
from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.base import label_names
from mobile_eval.datasets.coordinate_frame import oriented_size
from mobile_eval.datasets.segmentation import SegmentationDataset, SegmentationImage, read_mask
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Geometry
from mobile_eval.image.image_size import check_size
from mobile_eval.image.prefetch import prefetch
from mobile_eval.metrics.confusion import IGNORED, confusion, mean_over_classes, per_class_iou
from mobile_eval.model.description import default_class_names
from mobile_eval.progress import tracked
from mobile_eval.tasks.segmentation.evaluate import most_likely
from mobile_eval.tasks.segmentation.task import METRIC
from mobile_eval.viz.masks import mask_overlay
from training.tasks.base import Array, Category, Image, TrainingTask, divergence
from training.tasks.class_balance import weights_by_median_frequency
from training.tasks.segmentation.examples import MaskExampleBuilder, check_mask_size
from training.tasks.segmentation.settings import SegmentationSettings

MIN_CLASSES_PRESENT = 0.25  # fraction of the class indices that unnamed masks must contain
PAPER_NETWORKS = ("segment-w40", "segment-w48")


class MiouEvaluator:
    """Measures mIoU of full images at the size of their masks."""

    def __init__(self, data: SegmentationDataset, spec: Network, geometry: Geometry):
        self.images = data.images
        self.counts = np.zeros((spec.classes, spec.classes), np.int64)
        self._done = 0

    def update(self, outputs: Array) -> None:
        """Add the logits (n, h, w, classes) of the next n images."""
        for logits in np.asarray(outputs, np.float32):
            mask = read_mask(self.images[self._done].mask_path, len(self.counts))
            height, width = mask.shape
            self.counts += confusion(mask, most_likely(logits, (height, width)), len(self.counts), IGNORED)
            self._done += 1

    def result(self) -> float:
        """Return the mean IoU over the classes."""
        return mean_over_classes(per_class_iou(self.counts))


def pixel_loss(settings: SegmentationSettings) -> KerasLoss:
    """Return the Keras loss of segmentation."""
    from training.tasks.segmentation.losses import PixelCrossEntropy

    return PixelCrossEntropy(settings.class_weights, settings.ohem_threshold, settings.ohem_min_kept)


def draw_masks(images: Image, maps: Array, category: Category, geometry: Geometry) -> Image:
    """Draw the classes of targets (n, h, w) or logits (n, h, w, classes) over images (n, H, W, 3), RGB."""
    size, names = images.shape[1:3], label_names(category)
    arrays = np.asarray(maps, np.float32)
    has_logits = arrays.ndim == 4
    masks = [most_likely(array, size) if has_logits else _enlarged(array, size) for array in arrays]
    return np.stack([mask_overlay(image, mask, names) for image, mask in zip(images, masks, strict=True)])


def _enlarged(mask: Array, size: tuple[int, ...]) -> NDArray[np.int64]:
    return mask.astype(np.int64).repeat(size[0] // len(mask), axis=0).repeat(size[1] // mask.shape[1], axis=1)


def check_masks(data: SegmentationDataset, settings: SegmentationSettings, is_training_set: bool) -> None:
    """Raise HRNetError for a mask that cannot be read, contains unknown classes, or differs in size from its image.

    A training set needs two classes. Where the classes have no names, its masks must contain at least a quarter of the indices
    up to the largest one: other masks hold grey levels. Unreadable images are ignored here; training skips up to 1 % of them.
    """
    present = np.zeros(len(data.classes), np.bool_)
    masks = prefetch(lambda item: _classes_in_mask(item, len(data.classes)), data.images)
    for classes in tracked(masks, "masks", total=len(data)):
        present |= classes
    if is_training_set:
        check_classes(data.classes, present)


def check_classes(classes: tuple[str, ...], present: NDArray[np.bool_]) -> None:
    """Raise HRNetError for a single class, and for masks that hold grey levels instead of indices.

    Args:
        classes: Names of the classes.
        present: Whether each class occurs in the training masks (classes,).
    """
    if len(present) < 2:
        raise HRNetError(
            f"segmentation needs at least two classes, but there is only {classes[0]}: do the masks hold indices 0, 1, ...?"
        )
    if classes == default_class_names(len(present)) and present.sum() < len(present) * MIN_CLASSES_PRESENT:
        indices = ", ".join(map(str, np.flatnonzero(present)))
        raise HRNetError(
            f"the masks hold only {present.sum()} of the class indices 0 to {len(present) - 1} ({indices}): "
            "write indices 0, 1, ... instead of grey levels, or name all classes by `classes`"
        )


def _classes_in_mask(item: SegmentationImage, classes: int) -> NDArray[np.bool_]:
    """Check a mask, and return whether it contains each class (classes,)."""
    mask = read_mask(item.mask_path, classes)
    size = None
    with contextlib.suppress(HRNetError):  # raised for an unreadable image
        file_size = oriented_size(item.image_path, upright=item.upright)
        check_size(file_size, f"image {item.image_path}")
        size = file_size
    if size is not None:
        check_mask_size(item, mask.shape, size)
    return np.bincount(mask.ravel(), minlength=IGNORED + 1)[:classes] > 0


def balancing_weights(data: SegmentationDataset) -> NDArray[np.float64]:
    """Return class weights (classes,) by the number of pixels of each class in the masks."""
    classes = len(data.classes)

    def pixel_counts(item: SegmentationImage) -> NDArray[np.int64]:
        mask = read_mask(item.mask_path, classes)
        return np.bincount(mask[mask != IGNORED], minlength=classes)

    counts = tracked(prefetch(pixel_counts, data.images), "masks", total=len(data))
    return weights_by_median_frequency(counts, classes)


def _recipe(spec: Network) -> str:
    return "cityscapes" if spec.name in PAPER_NETWORKS else "small"


TASK: TrainingTask[SegmentationDataset, SegmentationSettings] = TrainingTask(
    metric=METRIC,
    noun="images",
    example_builder=MaskExampleBuilder,
    loss=pixel_loss,
    metric_evaluator=MiouEvaluator,
    draw=draw_masks,
    recipe=_recipe,
    distillation_loss=divergence,
    class_weights=balancing_weights,
    check=check_masks,
)
