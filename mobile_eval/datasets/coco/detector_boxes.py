"""A person detector's boxes, as COCO detection results hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.coco.schema import Id, key_of, number
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.image.geometry import checked_box


@dataclass(frozen=True)
class DetectorBox:
    """A box (x, y, width, height) in pixels and the detector's `score` of it, in an image of `image_size` (height, width)."""

    image_id: Id
    image_path: Path
    image_size: tuple[int, int] | None
    box: tuple[float, float, float, float]
    score: float
    upright: bool = True


def load_detector_boxes(
    path: Path | str, dataset: KeypointDataset, images: Path | str, least: float = 0.0
) -> tuple[DetectorBox, ...]:
    """The boxes of a COCO detection results file that are of `dataset`'s category and score at least `least`.

    Boxes of one image follow each other. Raises HRNetError, naming the entry, for a file of another kind, a box without area,
    an image that the annotations do not know, and where no box is left.
    """
    entries = read_json(path, "detections")
    if not isinstance(entries, list):
        raise HRNetError(f"{path} is not a COCO detection results file, a list of image_id, category_id, bbox and score")
    known = {str(image["id"]): image for image in dataset.coco["images"]}
    found = []
    for place, entry in enumerate(entries):
        try:
            one = _detection(entry, known, dataset.category_id, Path(images), least)
        except HRNetError as error:
            raise HRNetError(f"{path}, entry {place}: {error}") from error
        if one:
            found.append(one)
    if not found:
        raise HRNetError(f"{path} holds no box of {dataset.category.name!r} with a score of at least {least:g}")
    missing = next((one.image_path for one in found if not one.image_path.is_file()), None)
    if missing is not None:
        raise HRNetError(f"{path} has boxes in {missing.name}, which is not in {images}")
    sizes = {one.image_path: one.image_size for one in found}
    frame = dataset.frame.with_images(sizes, sizes.get)
    found = [replace(one, upright=frame.is_upright(one.image_path)) for one in found] if frame.stored else found
    return tuple(sorted(found, key=lambda one: str(one.image_path)))


def _detection(entry: Any, known: dict[str, dict[str, Any]], category_id: Id, folder: Path, least: float) -> DetectorBox | None:
    """The box of an entry; None where it is of another category or scores less than `least`."""
    lacking = [name for name in ("image_id", "bbox", "score") if not isinstance(entry, dict) or name not in entry]
    if lacking:
        raise HRNetError(f"it has no {lacking[0]}")
    score = number(entry["score"])
    if score is None or not math.isfinite(score):
        raise HRNetError(f"its score must be a finite number, got {brief(entry['score'])}")
    if key_of(entry.get("category_id", category_id)) != str(category_id) or score < least:
        return None
    image = known.get(key_of(entry["image_id"]) or "")
    if image is None:
        raise HRNetError(f"image {brief(entry['image_id'])} is not in the annotations")
    box = checked_box(entry["bbox"], f"image {image['file_name']}")
    return DetectorBox(image["id"], folder / image["file_name"], (image["height"], image["width"]), box, score)
