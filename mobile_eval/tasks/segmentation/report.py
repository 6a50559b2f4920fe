"""Report of segmentation models: mIoU, pixel accuracy, and classes in color over photographs."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mobile_eval.datasets.segmentation import SegmentationDataset, read_mask
from mobile_eval.image.image_file import read_item
from mobile_eval.metrics.metric import none_if_nan
from mobile_eval.tasks.report import Array, Example, LabeledResult, ModelMeasurement, Panel, TaskReport
from mobile_eval.tasks.segmentation.evaluate import SegmentationResult, thumbnail
from mobile_eval.viz.cutout import Cutout, cut_out
from mobile_eval.viz.masks import OPACITY, class_legend_html, mask_colors
from mobile_eval.viz.svg import element

ABOUT = (
    "mIoU is the mean over classes of intersection over union, pixel accuracy the share of pixels that are right, both at the "
    "masks’ own size and in percent."
)


def measure(result: SegmentationResult, dataset: SegmentationDataset) -> ModelMeasurement:
    """mIoU and pixel accuracy; the correctness of an image is its pixel accuracy."""
    correct, annotated, _ = result.image_counts.sum(axis=-1).T
    return ModelMeasurement(
        score=result.miou,
        secondary_score=none_if_nan(result.pixel_accuracy),
        per_class={name: none_if_nan(float(value)) for name, value in zip(result.classes, result.iou, strict=True)},
        correctness=(correct / np.maximum(annotated, 1))[:, None],
        sums=result.image_counts.reshape(result.images, -1).astype(np.float64),
    )


def mean_iou(sums: Array) -> Array:
    """mIoU (...) of sums (..., 3 * C): pixels of each class that are correct, annotated, and predicted."""
    correct, annotated, predicted = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmean(correct / (annotated + predicted - correct), axis=-1))


def example(dataset: SegmentationDataset, index: int, models: Sequence[LabeledResult[SegmentationResult]]) -> Example:
    """An image with its annotated and predicted classes."""
    item = dataset.images[index]
    image = read_item(item)
    cutout = cut_out(image, (0, 0, image.shape[1], image.shape[0]))
    mask = thumbnail(read_mask(item.mask_path, len(dataset.names)))
    panels = [Panel("ground truth", "", _overlay(mask, dataset.names, cutout))]
    for model in models:
        share = float(model.measurement.correctness[index, 0])
        overlay = _overlay(model.result.thumbnail(index), dataset.names, cutout)
        panels.append(Panel(model.label, f"{share * 100:.1f} % of pixels", overlay))
    return Example(index, item.image_path.name, cutout, tuple(panels))


def _overlay(mask: NDArray[np.uint8], names: Sequence[str], cutout: Cutout) -> Markup:
    colors, tinted = mask_colors(mask, names)
    alpha = np.where(tinted, round(255 * OPACITY), 0)[..., None]
    data = cv2.imencode(".png", np.concatenate([colors[..., ::-1], alpha], axis=-1).astype(np.uint8))[1].tobytes()
    uri = f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
    place = {"width": cutout.width, "height": cutout.height, "preserveAspectRatio": "none"}
    return Markup(element("image", {"href": uri, **place}))


def legend(dataset: SegmentationDataset) -> Markup:
    """The colors of the classes."""
    return class_legend_html(dataset.names)


REPORT = TaskReport(
    secondary_metric="pixel accuracy",
    items="images",
    class_noun="class",
    about=ABOUT,
    measure=measure,
    example=example,
    score_of_sums=mean_iou,
    legend=legend,
)
