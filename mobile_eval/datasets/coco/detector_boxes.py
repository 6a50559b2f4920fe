"""Boxes of a person detector, from a COCO detection results file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.coco.schema import Box, CocoImage, Id, as_float, id_key
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.image.geometry import checked_box
from mobile_eval.typed import brief

REQUIRED = ("image_id", "bbox", "score")


@dataclass(frozen=True)
class DetectorBox:
    """A box that a detector found.

    Args:
        image_id: Id of its image in the annotation file.
        image_path: File of its image.
        image_size: (height, width) as the annotation file states it.
        box: x, y, width, height in pixels.
        score: The detector's confidence.
        upright: Whether coordinates refer to the image as EXIF turns it, or as it is stored.
    """

    image_id: Id
    image_path: Path
    image_size: tuple[int, int] | None
    box: Box
    score: float
    upright: bool = True


def load_detector_boxes(
    path: Path | str, dataset: KeypointDataset, images: Path | str, min_score: float = 0.0
) -> tuple[DetectorBox, ...]:
    """Read the boxes of the dataset's category, sorted by image.

    Args:
        path: COCO detection results file, a list of image_id, category_id, bbox and score.
        dataset: The dataset that poses are evaluated on.
        images: The folder of its images.
        min_score: Boxes with a lower score are skipped.

    Raises:
        HRNetError: The file is of another kind, a box has no area, an image is unknown, or no box is left. The message names
            the entry.
    """
    entries = read_json(path, "detections")
    if not isinstance(entries, list):
        raise HRNetError(f"{path} is not a COCO detection results file, a list of image_id, category_id, bbox and score")
    known_images = {str(image["id"]): image for image in dataset.coco["images"]}
    boxes = []
    for place, entry in enumerate(entries):
        try:
            box = _box(entry, known_images, dataset.category_id, Path(images), min_score)
        except HRNetError as error:
            raise HRNetError(f"{path}, entry {place}: {error}") from error
        if box:
            boxes.append(box)
    if not boxes:
        raise HRNetError(f"{path} holds no box of {dataset.category.name!r} with a score of at least {min_score:g}")
    missing = next((box.image_path for box in boxes if not box.image_path.is_file()), None)
    if missing is not None:
        raise HRNetError(f"{path} has boxes in {missing.name}, which is not in {images}")
    sizes = {box.image_path: box.image_size for box in boxes}
    frame = dataset.frame.with_images(sizes, sizes.get)
    boxes = [replace(box, upright=frame.is_upright(box.image_path)) for box in boxes] if frame.stored else boxes
    return tuple(sorted(boxes, key=lambda box: str(box.image_path)))


def _box(entry: object, images: Mapping[str, CocoImage], category_id: Id, folder: Path, min_score: float) -> DetectorBox | None:
    """The box of an entry; None if it is of another category or scores less than `min_score`."""
    if not isinstance(entry, dict):
        raise HRNetError(f"it must be an object, got {brief(entry)}")
    missing = next((name for name in REQUIRED if name not in entry), None)
    if missing:
        raise HRNetError(f"it has no {missing}")
    score = as_float(entry["score"])
    if score is None or not math.isfinite(score):
        raise HRNetError(f"its score must be a finite number, got {brief(entry['score'])}")
    if id_key(entry.get("category_id", category_id)) != str(category_id) or score < min_score:
        return None
    image = images.get(id_key(entry["image_id"]) or "")
    if image is None:
        raise HRNetError(f"image {brief(entry['image_id'])} is not in the annotations")
    box = checked_box(entry["bbox"], f"image {image['file_name']}")
    return DetectorBox(image["id"], folder / image["file_name"], (image["height"], image["width"]), box, score)
