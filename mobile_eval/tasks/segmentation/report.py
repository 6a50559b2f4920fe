"""Segmentation models side by side: mIoU, pixel accuracy, and classes in colour over images."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mobile_eval.datasets.segmentation import SegmentationDataset, read_mask
from mobile_eval.image.image_file import read_item
from mobile_eval.metrics.confusion import IGNORED, accuracy, confusion, per_class_iou
from mobile_eval.metrics.metric import none_if_nan
from mobile_eval.progress import tracked
from mobile_eval.report.task_report import Array, Comparing, Example, Measured, Panel
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked
from mobile_eval.tasks.segmentation.evaluate import METRIC, TASK, SegmentationResult, most_likely
from mobile_eval.viz.masks import OPACITY, class_keys, tints
from mobile_eval.viz.poses import Cutout, cut_out
from mobile_eval.viz.svg import element

ABOUT = (
    "mIoU is the mean over classes of intersection over union, pixel accuracy the share of pixels that are right, both at the "
    "masks’ own size and in percent."
)


def measure_masks(model: TFLiteModel, data: SegmentationDataset, asked: Asked, progress: bool) -> Measured:
    """mIoU and pixel accuracy of a model on whole images."""
    classes = model.description.classes
    counts, answers = [], []
    for one in tracked(data.images, model.path.name, total=len(data), show=progress):
        truth = read_mask(one.mask_path, len(classes))
        [logits] = model.predict(TASK.inputs([one], model.input_size, model.description.input.geometry))
        found = most_likely(logits, (truth.shape[0], truth.shape[1]))
        counts.append(confusion(truth, found, len(classes), IGNORED))
        answers.append(small(found))
    result = SegmentationResult(model.path.name, len(data), classes, np.sum(counts, axis=0))
    return Measured(
        result=result,
        score=result.miou,
        second=none_if_nan(result.pixel_accuracy),
        sums=np.array([one.ravel() for one in counts], np.float64),
        parts={name: none_if_nan(float(value)) for name, value in zip(classes, result.iou, strict=True)},
        right=np.nan_to_num(np.array([[accuracy(one)] for one in counts])),
        answers=answers,
    )


def mean_iou(sums: Array) -> Array:
    """mIoU (...) of confusion matrices (..., classes * classes)."""
    classes = round(sums.shape[-1] ** 0.5)
    matrices = np.rint(sums).astype(np.int64).reshape(-1, classes, classes)
    return np.array([np.nanmean(per_class_iou(one)) for one in matrices]).reshape(sums.shape[:-1])


def small(mask: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Class indices (H, W) as bytes, of a size that a report shows."""
    scale = min(320 / max(mask.shape), 1)
    size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), np.uint8)


def mask_example(data: SegmentationDataset, index: int, models: Sequence[tuple[str, Measured]]) -> Example:
    """An image with its true classes, and with those that models found."""
    one = data.images[index]
    image = read_item(one)
    cutout = cut_out(image, (0, 0, image.shape[1], image.shape[0]))
    panels = [Panel("ground truth", "", _overlay(small(read_mask(one.mask_path, len(data.names))), data.names, cutout))]
    for label, measured in models:
        share = float(measured.right[index, 0])
        panels.append(Panel(label, f"{share * 100:.1f} % of pixels", _overlay(measured.answers[index], data.names, cutout)))
    return Example(index, one.image_path.name, cutout, tuple(panels))


def _overlay(mask: NDArray[np.uint8], names: Sequence[str], cutout: Cutout) -> Markup:
    colors, tinted = tints(mask, names)
    alpha = np.where(tinted, round(255 * OPACITY), 0)[..., None]
    data = cv2.imencode(".png", np.concatenate([colors[..., ::-1], alpha], axis=-1).astype(np.uint8))[1].tobytes()
    uri = f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
    place = {"width": cutout.width, "height": cutout.height, "preserveAspectRatio": "none"}
    return Markup(element("image", {"href": uri, **place}))


def _key(data: SegmentationDataset) -> Markup:
    return class_keys(data.names)


COMPARING = Comparing(METRIC, "pixel accuracy", "images", "class", ABOUT, measure_masks, mean_iou, mask_example, _key)
