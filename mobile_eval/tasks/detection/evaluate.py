"""Accuracy of detectors: AP and AR of boxes, as COCO computes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.detection import DetectionDataset, DetectionImage
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_file, check_output_folder, write_json
from mobile_eval.image.image_file import read_item
from mobile_eval.image.prefetch import prefetch
from mobile_eval.messages import number_of
from mobile_eval.metrics.box_ap import BoxApResult, box_ap
from mobile_eval.metrics.metric import format_scores
from mobile_eval.model.description import default_class_names
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import TaskResult
from mobile_eval.tasks.detection.boxes import BoxResult, Objects
from mobile_eval.tasks.detection.detector import detector_of
from mobile_eval.tasks.detection.options import DetectionEvalOptions
from mobile_eval.viz.overlays import MAX_PICTURES, draw_boxes, write_picture

DRAWN_SCORE = 0.3  # lowest score of a box that is drawn


@dataclass(frozen=True, eq=False)
class DetectionResult(TaskResult):
    """Accuracy of a detector.

    Attributes:
        model: File name of the model.
        objects: Number of annotated objects.
        figures: AP and AR.
        predictions: Predicted objects of each image, in the order of the data set.
        results: The predictions as COCO detection results, which any COCO evaluation reads.
    """

    model: str
    objects: int
    figures: BoxApResult
    predictions: tuple[Objects, ...]
    results: list[BoxResult]

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.predictions)

    def to_json(self) -> dict[str, Any]:
        """Plain data without the boxes."""
        return {
            "model": self.model,
            "images": self.images,
            "objects": self.objects,
            "boxes_found": len(self.results),
            "box_map": dataclasses.asdict(self.figures),
        }

    def __str__(self) -> str:
        figures = self.figures
        sizes = format_scores({"AP small": figures.ap_small, "medium": figures.ap_medium, "large": figures.ap_large})
        objects, images = number_of(self.objects, "objects"), number_of(self.images, "images")
        return f"{self.model}: {objects} in {images}\n{figures}\n{sizes}"


def evaluate_detection(
    model: TFLiteModel, dataset: DetectionDataset, options: DetectionEvalOptions | None = None, *, progress: bool = False
) -> DetectionResult:
    """Run a detector on every image of a data set, and measure its boxes in pixels of the images.

    Args:
        model: The file of the detector, or the first of two that lie side by side. Its classes are the data set's.
        dataset: Images with annotated boxes.
        options: Files to write.
        progress: Show a progress bar.
    """
    detector, options = detector_of(model), options or DetectionEvalOptions()
    check_classes(model, dataset)
    check_output_file(options.predictions)
    folder = check_output_folder(options.overlays) if options.overlays else None

    def read(item: DetectionImage) -> tuple[DetectionImage, NDArray[np.uint8], NDArray[Any]]:
        image = read_item(item)
        return item, image, detector.to_input(image)

    predictions, results = [], []
    items = tracked(prefetch(read, dataset.images), model.path.name, total=len(dataset), show=progress)
    for index, (item, image, stored) in enumerate(items):
        height, width = image.shape[:2]
        objects = detector.objects(stored, (height, width))
        predictions.append(objects)
        results += objects.results(item.image_id, dataset.category_ids)
        if folder and index < MAX_PICTURES:
            drawn = draw_boxes(image, objects, model.description.classes, DRAWN_SCORE)
            write_picture(folder, index, item.image_path, drawn)
    if options.predictions:
        write_json(options.predictions, results)
    count = sum(len(item.boxes) for item in dataset.images)
    figures = measure_boxes(dataset, results)
    return DetectionResult(model.path.name, count, figures, tuple(predictions), results)


def measure_boxes(dataset: DetectionDataset, results: Sequence[Mapping[str, Any]]) -> BoxApResult:
    """COCO's figures of COCO detection results; without any result, zeros for what has annotated objects."""
    if results:
        return box_ap(dataset.coco, results)
    image_id = dataset.coco["images"][0]["id"]
    empty_box = {"image_id": image_id, "category_id": dataset.category_ids[0], "bbox": [0, 0, 0, 0], "score": 0.0}
    return box_ap(dataset.coco, [empty_box])


def check_classes(model: TFLiteModel, dataset: DetectionDataset) -> None:
    """Raise HRNetError if the classes of the annotations are not the model's."""
    classes, names = model.description.classes, dataset.classes
    if len(classes) != len(names) or (classes != default_class_names(len(classes)) and classes != names):
        lists = [", ".join(labels[:3]) + (", ..." if len(labels) > 3 else "") for labels in (classes, names)]
        raise HRNetError(
            f"{model.path.name} finds {len(classes)} classes ({lists[0]}) but the annotations are of {len(names)} ({lists[1]}); "
            "give annotations of the model's classes, in the order of their ids"
        )
