"""Segmentation: IoU of every class, mIoU, pixel accuracy and mean accuracy, of whole images or windows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.segmentation import SegmentationDataset, SegmentationImage, load_segmentation_dataset, read_mask
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_file, check_output_folder, write_text
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.image.image_file import read_image, read_item
from mobile_eval.image.prefetch import prefetch
from mobile_eval.image.preprocess import resize
from mobile_eval.metrics.confusion import (
    IGNORED,
    accuracy,
    class_table,
    confusion,
    mean_over_classes,
    per_class_iou,
    per_class_recall,
)
from mobile_eval.metrics.metric import Metric, format_scores, none_if_nan
from mobile_eval.model.description import default_class_names
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked, Task, read_asked
from mobile_eval.tasks.segmentation.sliding_window import (
    MapOptions,
    View,
    answer_view,
    likeliest,
    make_views,
    parse_scales,
    upsampled,
)
from mobile_eval.viz.confusion_matrix import confusion_svg
from mobile_eval.viz.masks import compared
from mobile_eval.viz.overlays import PICTURES, write_picture
from mobile_eval.words import number_of

METRIC = Metric("mIoU", "miou")


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """Accuracy of a segmentation model; `counts` (classes, classes) says how many pixels of each class were taken for each.

    Means are over the classes that have a value: IoU, those that occur or were predicted; accuracy, those that occur.
    """

    model: str
    images: int
    classes: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class; NaN of one that neither occurs nor was predicted."""
        return per_class_iou(self.counts)

    @property
    def miou(self) -> float:
        """The mean IoU."""
        return mean_over_classes(self.iou)

    @property
    def pixel_accuracy(self) -> float:
        """The share of pixels that are right."""
        return accuracy(self.counts)

    @property
    def mean_accuracy(self) -> float:
        """The mean, over classes, of the share of their pixels that are right."""
        return mean_over_classes(per_class_recall(self.counts))

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
    model: TFLiteModel,
    dataset: SegmentationDataset,
    *,
    options: MapOptions | None = None,
    overlays: Path | None = None,
    progress: bool = False,
) -> SegmentationResult:
    """Run `model` on every image of `dataset` and measure at the masks' own size.

    An image is resized as a whole to the network's input, or looked at as `options` say. The first PICTURES of them are drawn
    into the folder `overlays`.
    """
    classes, how = model.description.classes, options or MapOptions()
    check_classes(model, dataset)
    folder = check_output_folder(overlays) if overlays else None
    padding = [255 * value for value in model.description.input.mean]

    def read(one: SegmentationImage) -> tuple[NDArray[np.uint8], list[View], NDArray[np.uint8]]:
        mask = read_mask(one.mask_path, len(classes))
        height, width = mask.shape
        image = read_image(one.image_path, (height, width), f"its mask {one.mask_path} is", upright=one.upright)
        return image, make_views(image, model.input_size, how, padding), mask

    counts = np.zeros((len(classes), len(classes)), np.int64)
    read_ahead = prefetch(read, dataset.images)
    for index, (image, views, mask) in enumerate(tracked(read_ahead, model.path.name, total=len(dataset), show=progress)):
        found = _class_map(model, views, mask.shape, how)
        counts += confusion(mask, found, len(classes), IGNORED)
        if folder and index < PICTURES:
            write_picture(folder, index, dataset.images[index].image_path, compared(image, mask, found, classes))
    return SegmentationResult(model.path.name, len(dataset), classes, counts)


def check_classes(model: TFLiteModel, dataset: SegmentationDataset) -> None:
    """Refuse masks of other classes than the model's, where both are named; of classes without names, another number."""
    own, said = model.description.classes, dataset.classes
    if said == default_class_names(len(said)):
        return  # as many as the masks happen to hold
    if len(said) != len(own) or (own != default_class_names(len(own)) and said != own):
        lists = [f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" for names in (said, own)]
        raise HRNetError(
            f"the masks are of classes {lists[0]}, but {model.path.name} finds {lists[1]}: give masks of the model's"
        )


def _class_map(model: TFLiteModel, views: list[View], size: tuple[int, ...], how: MapOptions) -> NDArray[np.intp]:
    height, width = size
    if how == MapOptions():
        return most_likely(model.output(model.to_input(views[0].crops))[0], (height, width))
    return likeliest([answer_view(model, view, flip=how.flip) for view in views], (height, width))


def most_likely(logits: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.intp]:
    """The likeliest class (height, width) of every pixel, from logits (h, w, classes) upsampled bilinearly to that size.

    With half-pixel centres (align_corners False), as the official HRNetV2 code does; class by class, since all of them at full
    size would take hundreds of megabytes.
    """
    best = np.full(size, -np.inf, np.float32)
    found = np.zeros(size, np.intp)
    for index in range(logits.shape[-1]):
        own = upsampled(logits, index, size)
        better = own > best
        best[better], found[better] = own[better], index
    return found


def _load(source: DataSource) -> SegmentationDataset:
    return load_segmentation_dataset(source.path("images"), source.path("masks"), source.classes, exif=source.exif)


def _inputs(images: Sequence[SegmentationImage], size: tuple[int, int], geometry: Geometry = STANDARD) -> NDArray[np.uint8]:
    return np.stack([resize(read_item(one), size) for one in images])


def _evaluate(model: TFLiteModel, asked: Asked, *, progress: bool) -> SegmentationResult:
    check_output_file(asked.picture)
    options = MapOptions(asked.windows, parse_scales(asked.scales), asked.overlap, asked.flip)
    dataset = read_asked(_load, model, asked)
    result = evaluate_segmentation(model, dataset, options=options, overlays=asked.overlays, progress=progress)
    if asked.picture:
        write_text(asked.picture, confusion_svg(result.counts, result.classes, result.model, "pixels"))
    return result


TASK = Task(
    needs=("images", "masks"),
    takes=("limit", "classes", "exif", "flip", "windows", "scales", "overlap", "overlays", "picture"),
    evaluate=_evaluate,
    load=_load,
    inputs=_inputs,
    compared="mobile_eval.tasks.segmentation.report",
)
