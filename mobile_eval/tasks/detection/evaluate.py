"""Detection: COCO's AP and AR of boxes, of whole images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.detection import DetectionDataset, DetectionImage, load_detection_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, write_json
from mobile_eval.image.geometry import STANDARD, Geometry
from mobile_eval.image.image_file import read_item
from mobile_eval.image.prefetch import prefetch
from mobile_eval.image.preprocess import resize
from mobile_eval.metrics.box_ap import BoxApResult, box_ap
from mobile_eval.metrics.metric import Metric, format_scores
from mobile_eval.model.description import default_class_names
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked, Task, read_asked
from mobile_eval.tasks.detection.boxes import Objects
from mobile_eval.tasks.detection.detector import Detector
from mobile_eval.viz.boxes import draw_boxes
from mobile_eval.viz.overlays import PICTURES, write_picture
from mobile_eval.words import number_of

METRIC = Metric("AP50", "ap50")
LEAST_SCORE = 0.3  # of a box that is drawn


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """Accuracy of a detector. `results` are COCO detection results, which any COCO evaluation reads."""

    model: str
    images: int
    objects: int
    figures: BoxApResult
    results: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the boxes."""
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
    model: TFLiteModel, dataset: DetectionDataset, *, overlays: Path | None = None, progress: bool = False
) -> DetectionResult:
    """Run the detector on every image of `dataset`, resized as a whole to its input, and measure in the images' own pixels.

    `overlays` is a folder for pictures of what was found, where one is given.
    """
    detector, names = Detector(model), model.description.classes
    check_classes(model, dataset)

    def read(one: DetectionImage) -> tuple[DetectionImage, NDArray[np.uint8], NDArray[Any]]:
        image = read_item(one)
        return one, image, detector.to_input(image)

    results: list[dict[str, Any]] = []
    read_ahead = tracked(prefetch(read, dataset.images), model.path.name, total=len(dataset), show=progress)
    for index, (one, image, stored) in enumerate(read_ahead):
        height, width = image.shape[:2]
        found = detector.objects(stored, (height, width))
        results += found.results(one.image_id, dataset.category_ids)
        if overlays and index < PICTURES:
            _draw(overlays, index, one, image, found, names)
    count = sum(len(one.boxes) for one in dataset.images)
    return DetectionResult(model.path.name, len(dataset), count, measured(dataset, results), results)


def measured(dataset: DetectionDataset, results: Sequence[dict[str, Any]]) -> BoxApResult:
    """COCO's figures; zeros, as far as there are objects, where nothing was found at all."""
    if results:
        return box_ap(dataset.coco, results)
    first = dataset.coco["images"][0]["id"]
    nothing = {"image_id": first, "category_id": dataset.category_ids[0], "bbox": [0, 0, 0, 0], "score": 0.0}
    return box_ap(dataset.coco, [nothing])


def check_classes(model: TFLiteModel, dataset: DetectionDataset) -> None:
    """Refuse annotations of other classes than the model's."""
    own, given = model.description.classes, dataset.classes
    if len(own) != len(given) or (own != default_class_names(len(own)) and own != given):
        said = [", ".join(names[:3]) + (", ..." if len(names) > len(names[:3]) else "") for names in (own, given)]
        raise HRNetError(
            f"{model.path.name} finds {len(own)} classes ({said[0]}) but the annotations are of {len(given)} ({said[1]}); "
            "give annotations of the model's classes, in the order of their ids"
        )


def _draw(folder: Path, index: int, one: DetectionImage, image: NDArray[np.uint8], found: Objects, names: Sequence[str]) -> None:
    write_picture(folder, index, one.image_path, draw_boxes(image, found, names, LEAST_SCORE))


def _load(source: DataSource) -> DetectionDataset:
    return load_detection_dataset(source.path("annotations"), source.path("images"), strict=source.strict, exif=source.exif)


def _inputs(images: Sequence[DetectionImage], size: tuple[int, int], geometry: Geometry = STANDARD) -> NDArray[np.uint8]:
    return np.stack([resize(read_item(one), size) for one in images])


def _evaluate(model: TFLiteModel, asked: Asked, *, progress: bool) -> DetectionResult:
    if asked.overlays:
        check_output_folder(asked.overlays)
    dataset = read_asked(_load, model, asked)
    result = evaluate_detection(model, dataset, overlays=asked.overlays, progress=progress)
    if asked.predictions:
        write_json(asked.predictions, result.results)
    return result


TASK = Task(
    needs=("annotations", "images"),
    takes=("limit", "exif", "predictions", "overlays", "strict"),
    evaluate=_evaluate,
    load=_load,
    inputs=_inputs,
    compared="mobile_eval.tasks.detection.report",
)
