"""Detectors side by side: COCO's AP of boxes, and boxes over images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mobile_eval.datasets.coco.detection import DetectionDataset, DetectionImage
from mobile_eval.image.image_file import read_item
from mobile_eval.progress import tracked
from mobile_eval.report.task_report import Comparing, Example, Measured, Panel, ratio
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked
from mobile_eval.tasks.detection.boxes import Objects
from mobile_eval.tasks.detection.detector import Detector
from mobile_eval.tasks.detection.evaluate import LEAST_SCORE, METRIC, DetectionResult, check_classes, measured
from mobile_eval.tasks.detection.nms import overlaps
from mobile_eval.viz.masks import class_colors, class_keys
from mobile_eval.viz.poses import Cutout, cut_out
from mobile_eval.viz.svg import element

FOUND_IOU = 0.5
ABOUT = (
    "AP50 is COCO’s average precision of boxes at an overlap (IoU) of 0.5, AP its mean over overlaps from 0.5 to 0.95, both in "
    "percent. Latency is that of both files; the proposals, suppression and RoIAlign between them come on top."
)


def measure_boxes(model: TFLiteModel, data: DetectionDataset, asked: Asked, progress: bool) -> Measured:
    """AP50 and AP of a detector on whole images."""
    detector = Detector(model)
    check_classes(model, data)
    shown = tracked(data.images, model.path.name, total=len(data), show=progress)
    answers = [detector.detect(read_item(one)) for one in shown]
    pairs = list(zip(data.images, answers, strict=True))
    results = [entry for one, found in pairs for entry in found.results(one.image_id, data.category_ids)]
    figures = measured(data, results)
    objects = sum(len(one.boxes) for one in data.images)
    return Measured(
        result=DetectionResult(model.path.name, len(data), objects, figures, results),
        score=figures.ap50 or 0.0,
        second=figures.ap,
        sums=None,  # AP is no sum over images
        parts={name: _ap50_of(data, results, index) for index, name in enumerate(data.classes)},
        right=np.array([[f1(one, found)] for one, found in pairs]),
        answers=answers,
    )


def _ap50_of(data: DetectionDataset, results: Sequence[dict[str, Any]], label: int) -> float | None:
    """AP50 of one class; None where there is none of it."""
    category = data.category_ids[label]
    truth = [entry for entry in data.coco["annotations"] if entry["category_id"] == category]
    if not truth:
        return None
    kinds = [entry for entry in data.coco["categories"] if entry["id"] == category]
    own = DetectionDataset(data.images, data.classes, (category,), {**data.coco, "annotations": truth, "categories": kinds})
    return measured(own, [entry for entry in results if entry["category_id"] == category]).ap50


def f1(image: DetectionImage, found: Objects) -> float:
    """The harmonic mean of precision and recall of what is shown of an image: boxes of some score, of the right class."""
    sure = found.scores >= LEAST_SCORE
    boxes, labels = found.boxes[sure], found.labels[sure]
    free = np.ones(len(image.boxes), bool)
    right = 0
    for box, label in zip(boxes, labels, strict=True):  # the best first, as COCO matches
        fits = np.where(free & (image.labels == label), overlaps(_corners(box), _corners(image.boxes)), 0)
        if len(fits) and fits.max() >= FOUND_IOU:
            free[int(fits.argmax())] = False
            right += 1
    return 2 * right / max(len(boxes) + len(image.boxes), 1) if len(boxes) + len(image.boxes) else 1.0


def _corners(boxes: NDArray[Any]) -> NDArray[np.float32]:
    """Boxes (..., 4) as x, y, width, height, by their corners."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1).astype(np.float32)


def box_example(data: DetectionDataset, index: int, models: Sequence[tuple[str, Measured]]) -> Example:
    """An image's boxes, and those that models found."""
    one = data.images[index]
    image = read_item(one)
    cutout = cut_out(image, (0, 0, image.shape[1], image.shape[0]))
    said = f"{len(one.boxes)} object{'s' if len(one.boxes) != 1 else ''}"
    panels = [Panel("ground truth", said, boxes_svg(one.boxes, one.labels, data.classes, cutout))]
    for label, found in models:
        answer: Objects = found.answers[index]
        sure = answer.scores >= LEAST_SCORE
        overlay = boxes_svg(answer.boxes[sure], answer.labels[sure], data.classes, cutout, answer.scores[sure])
        panels.append(Panel(label, f"{int(sure.sum())} found, F1 {float(found.right[index, 0]):.2f}", overlay))
    return Example(index, one.image_path.name, cutout, tuple(panels))


def boxes_svg(
    boxes: NDArray[Any], labels: NDArray[np.int64], names: Sequence[str], cutout: Cutout, scores: NDArray[Any] | None = None
) -> Markup:
    """Boxes (N, 4) in image pixels over a cutout, in the colours of their classes."""
    colors, parts = [f"#{bytes(color.tolist()).hex()}" for color in class_colors(len(names))], []
    for place, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        x, y, wide, high = (float(value) for value in (box - [*cutout.origin, 0, 0]) * cutout.scale)
        rect = {"x": x, "y": y, "width": wide, "height": high, "fill": "none", "stroke": colors[label], "stroke-width": 1.6}
        score = "" if scores is None else f", {scores[place]:.2f}"
        parts.append(element("rect", rect, title=f"{names[label]}{score}"))
    return Markup("".join(parts))


def _key(data: DetectionDataset) -> Markup:
    return class_keys(data.names) + f"; boxes that score at least {LEAST_SCORE:g}"


COMPARING = Comparing(METRIC, "AP", "images", "class", ABOUT, measure_boxes, ratio, box_example, _key)
