"""Accuracy of segmentation models: IoU of every class, mIoU, pixel accuracy and mean accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.segmentation import SegmentationDataset, SegmentationImage, read_mask
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_file, check_output_folder, write_text
from mobile_eval.image.image_file import read_image
from mobile_eval.image.prefetch import prefetch
from mobile_eval.messages import number_of
from mobile_eval.metrics.confusion import (
    IGNORED,
    accuracy,
    class_table,
    confusion,
    mean_over_classes,
    per_class_iou,
    per_class_recall,
)
from mobile_eval.metrics.metric import format_scores, none_if_nan
from mobile_eval.model.description import default_class_names
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import TaskResult
from mobile_eval.tasks.segmentation.options import SegmentationEvalOptions
from mobile_eval.tasks.segmentation.sliding_window import View, make_views, most_probable, predict_view, upsampled
from mobile_eval.viz.confusion_matrix import confusion_svg
from mobile_eval.viz.masks import mask_comparison
from mobile_eval.viz.overlays import MAX_PICTURES, write_picture

THUMBNAIL_SIDE = 320  # pixels of the longer side of the class maps that a result keeps
FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclass(frozen=True, eq=False)
class SegmentationResult(TaskResult):
    """Accuracy of a segmentation model.

    Means are over the classes that have a value: IoU, those that occur or are predicted; accuracy, those that occur.

    Attributes:
        model: File name of the model.
        classes: Names of the C classes.
        counts: Confusion matrix (C, C) of pixels: entry (t, p) counts those of class t that were predicted as p.
        image_counts: For each image (N, 3, C), pixels of each class that are correct, annotated, and predicted.
        thumbnails: For each image, the predicted class map at the size of a report, as PNG.
    """

    model: str
    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    image_counts: NDArray[np.int64]
    thumbnails: tuple[bytes, ...]

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.image_counts)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union (C,) of each class; NaN of classes that neither occur nor are predicted."""
        return per_class_iou(self.counts)

    @property
    def miou(self) -> float:
        """Mean IoU."""
        return mean_over_classes(self.iou)

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels that are correct."""
        return accuracy(self.counts)

    @property
    def mean_accuracy(self) -> float:
        """Mean, over classes, of the share of their pixels that are correct."""
        return mean_over_classes(per_class_recall(self.counts))

    def thumbnail(self, index: int) -> NDArray[np.uint8]:
        """Predicted class map (h, w) of image number `index`."""
        data = np.frombuffer(self.thumbnails[index], np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)

    def to_json(self) -> dict[str, Any]:
        """Plain data; NaN becomes null."""
        return {
            "model": self.model,
            "images": self.images,
            "miou": none_if_nan(self.miou),
            "pixel_accuracy": none_if_nan(self.pixel_accuracy),
            "mean_accuracy": none_if_nan(self.mean_accuracy),
            "iou": {name: none_if_nan(float(value)) for name, value in zip(self.classes, self.iou, strict=True)},
            "confusion": self.counts.tolist(),
        }

    def __str__(self) -> str:
        means = format_scores({"mIoU": self.miou, "pixel accuracy": self.pixel_accuracy, "mean accuracy": self.mean_accuracy})
        return "\n".join([f"{self.model}: {number_of(self.images, 'images')}", means, *class_table(self.classes, self.iou)])


def evaluate_segmentation(
    model: TFLiteModel, dataset: SegmentationDataset, options: SegmentationEvalOptions | None = None, *, progress: bool = False
) -> SegmentationResult:
    """Run a model on every image of a data set and measure its class maps at the size of the masks.

    Args:
        model: A model whose classes are the data set's.
        dataset: Images with masks.
        options: Flip test, sliding windows, and files to write.
        progress: Show a progress bar.
    """
    classes, options = model.description.classes, options or SegmentationEvalOptions()
    check_classes(model, dataset)
    check_output_file(options.picture)
    folder = check_output_folder(options.overlays) if options.overlays else None
    counts, image_counts, thumbnails = np.zeros((len(classes), len(classes)), np.int64), [], []
    items = tracked(_images_with_views(model, dataset, options), model.path.name, total=len(dataset), show=progress)
    for index, (image, views, mask) in enumerate(items):
        class_map = _class_map(model, views, mask.shape, options)
        matrix = confusion(mask, class_map, len(classes), IGNORED)
        counts += matrix
        image_counts.append([np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)])
        thumbnails.append(cv2.imencode(".png", thumbnail(class_map), FAST_PNG)[1].tobytes())
        if folder and index < MAX_PICTURES:
            write_picture(folder, index, dataset.images[index].image_path, mask_comparison(image, mask, class_map, classes))
    result = SegmentationResult(model.path.name, classes, counts, np.array(image_counts), tuple(thumbnails))
    if options.picture:
        write_text(options.picture, confusion_svg(result.counts, result.classes, result.model, "pixels"))
    return result


def _images_with_views(
    model: TFLiteModel, dataset: SegmentationDataset, options: SegmentationEvalOptions
) -> Iterator[tuple[NDArray[np.uint8], list[View], NDArray[np.uint8]]]:
    """Each image (H, W, 3), its inputs for the network, and its mask (H, W); read ahead in other threads."""
    padding = [255 * value for value in model.description.input.mean]

    def read(item: SegmentationImage) -> tuple[NDArray[np.uint8], list[View], NDArray[np.uint8]]:
        mask = read_mask(item.mask_path, len(model.description.classes))
        height, width = mask.shape
        image = read_image(item.image_path, (height, width), f"its mask {item.mask_path} is", upright=item.upright)
        return image, make_views(image, model.input_size, options, padding), mask

    return prefetch(read, dataset.images)


def check_classes(model: TFLiteModel, dataset: SegmentationDataset) -> None:
    """Raise HRNetError if the classes of the masks are not the model's. Masks whose classes have no names may have fewer."""
    classes, names = model.description.classes, dataset.classes
    if names == default_class_names(len(names)):
        return  # as many as occur in the masks
    if len(names) != len(classes) or (classes != default_class_names(len(classes)) and names != classes):
        lists = [f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" for names in (names, classes)]
        raise HRNetError(
            f"the masks are of classes {lists[0]}, but {model.path.name} finds {lists[1]}: give masks of the model's"
        )


def _class_map(
    model: TFLiteModel, views: Sequence[View], size: tuple[int, ...], options: SegmentationEvalOptions
) -> NDArray[np.intp]:
    height, width = size
    if not options.windows and not options.flip:
        return most_likely(model.output(model.to_input(views[0].crops))[0], (height, width))
    return most_probable([predict_view(model, view, flip=options.flip) for view in views], (height, width))


def most_likely(logits: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.intp]:
    """Most likely class (height, width) of every pixel, from logits (h, w, C) upsampled bilinearly to that size.

    Half-pixel centers (align_corners False), as in the official HRNetV2 code. Class by class, since all logits at full size would
    take hundreds of megabytes.
    """
    best = np.full(size, -np.inf, np.float32)
    class_map = np.zeros(size, np.intp)
    for index in range(logits.shape[-1]):
        plane = upsampled(logits, index, size)
        better = plane > best
        best[better], class_map[better] = plane[better], index
    return class_map


def thumbnail(class_map: NDArray[np.integer]) -> NDArray[np.uint8]:
    """A class map (H, W) at the size of a report."""
    scale = min(THUMBNAIL_SIDE / max(class_map.shape), 1)
    size = (round(class_map.shape[1] * scale), round(class_map.shape[0] * scale))
    return np.asarray(cv2.resize(class_map.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), np.uint8)
