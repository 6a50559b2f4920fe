"""Report of detectors: COCO's AP of boxes, and boxes over photographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mobile_eval.datasets.coco.detection import DetectionDataset, DetectionImage
from mobile_eval.datasets.coco.schema import CocoData
from mobile_eval.image.image_file import read_item
from mobile_eval.messages import number_of
from mobile_eval.tasks.detection.boxes import BoxResult, Objects, box_ious
from mobile_eval.tasks.detection.evaluate import DRAWN_SCORE, DetectionResult, measure_boxes
from mobile_eval.tasks.report import Example, LabeledResult, ModelMeasurement, Panel, TaskReport
from mobile_eval.viz.cutout import Cutout, cut_out
from mobile_eval.viz.masks import class_colors, class_legend_html
from mobile_eval.viz.svg import element

MATCH_IOU = 0.5
ABOUT = (
    "AP50 is COCO’s average precision of boxes at an overlap (IoU) of 0.5, AP its mean over overlaps from 0.5 to 0.95, both in "
    "percent. Latency of a detector of two files is that of both; what runs between and after, such as suppression, adds up."
)


def measure(result: DetectionResult, dataset: DetectionDataset) -> ModelMeasurement:
    """AP50 and AP; the correctness of an image is the F1 score of its boxes. AP is not a function of sums over images."""
    pairs = zip(dataset.images, result.predictions, strict=True)
    return ModelMeasurement(
        score=result.figures.ap50 or 0.0,
        secondary_score=result.figures.ap,
        per_class={name: _class_ap50(dataset, result.results, index) for index, name in enumerate(dataset.classes)},
        correctness=np.array([[f1_score(image, objects)] for image, objects in pairs]),
    )


def _class_ap50(dataset: DetectionDataset, results: Sequence[BoxResult], label: int) -> float | None:
    """AP50 of one class; None if it has no objects."""
    category = dataset.category_ids[label]
    annotations = [entry for entry in dataset.coco["annotations"] if entry["category_id"] == category]
    if not annotations:
        return None
    categories = [entry for entry in dataset.coco["categories"] if entry["id"] == category]
    coco: CocoData = {"images": dataset.coco["images"], "annotations": annotations, "categories": categories}
    of_class = DetectionDataset(dataset.images, dataset.classes, (category,), coco)
    return measure_boxes(of_class, [entry for entry in results if entry["category_id"] == category]).ap50


def f1_score(image: DetectionImage, objects: Objects) -> float:
    """F1 score of the boxes that are drawn; a box is correct if it overlaps an annotated one of its class (IoU at least 0.5)."""
    drawn = objects.scores >= DRAWN_SCORE
    boxes, labels = objects.boxes[drawn], objects.labels[drawn]
    unmatched = np.ones(len(image.boxes), bool)
    correct = 0
    for box, label in zip(boxes, labels, strict=True):  # the best first, as COCO matches
        candidates = unmatched & (image.labels == label)
        ious = np.where(candidates, box_ious(_corners(box), _corners(image.boxes)), 0)
        if len(ious) and ious.max() >= MATCH_IOU:
            unmatched[int(ious.argmax())] = False
            correct += 1
    return 2 * correct / max(len(boxes) + len(image.boxes), 1) if len(boxes) + len(image.boxes) else 1.0


def _corners(boxes: NDArray[Any]) -> NDArray[np.float32]:
    """Boxes (..., 4) from x, y, width, height to x1, y1, x2, y2."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1).astype(np.float32)


def example(dataset: DetectionDataset, index: int, models: Sequence[LabeledResult[DetectionResult]]) -> Example:
    """An image with its annotated and predicted boxes."""
    item = dataset.images[index]
    image = read_item(item)
    cutout = cut_out(image, (0, 0, image.shape[1], image.shape[0]))
    truth = boxes_svg(item.boxes, item.labels, dataset.classes, cutout)
    panels = [Panel("ground truth", number_of(len(item.boxes), "objects"), truth)]
    for model in models:
        objects = model.result.predictions[index]
        drawn = objects.scores >= DRAWN_SCORE
        overlay = boxes_svg(objects.boxes[drawn], objects.labels[drawn], dataset.classes, cutout, objects.scores[drawn])
        f1 = float(model.measurement.correctness[index, 0])
        panels.append(Panel(model.label, f"{int(drawn.sum())} found, F1 {f1:.2f}", overlay))
    return Example(index, item.image_path.name, cutout, tuple(panels))


def boxes_svg(
    boxes: NDArray[Any], labels: NDArray[np.int64], names: Sequence[str], cutout: Cutout, scores: NDArray[Any] | None = None
) -> Markup:
    """Boxes (N, 4) xywh in image pixels over a cutout, in the colors of their classes."""
    colors, elements = [f"#{bytes(color.tolist()).hex()}" for color in class_colors(len(names))], []
    for index, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        x, y, width, height = (float(value) for value in (box - [*cutout.origin, 0, 0]) * cutout.scale)
        rect = {"x": x, "y": y, "width": width, "height": height, "fill": "none", "stroke": colors[label], "stroke-width": 1.6}
        score = "" if scores is None else f", {scores[index]:.2f}"
        elements.append(element("rect", rect, title=f"{names[label]}{score}"))
    return Markup("".join(elements))


def legend(dataset: DetectionDataset) -> Markup:
    """The colors of the classes, and which boxes are drawn."""
    return class_legend_html(dataset.names) + f"; boxes that score at least {DRAWN_SCORE:g}"


REPORT = TaskReport(
    secondary_metric="AP",
    items="images",
    class_noun="class",
    about=ABOUT,
    measure=measure,
    example=example,
    legend=legend,
)
