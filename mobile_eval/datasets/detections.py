"""A person detector's boxes, as COCO detection results hold them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mobile_eval.datasets.coco import KeypointDataset
from mobile_eval.files import read_json
from mobile_eval.geometry import checked_box


@dataclass(frozen=True)
class Detection:
    """A box (x, y, width, height) in pixels and the detector's `score` of it, in an image of `image_size` (height, width)."""

    image_id: int
    image_path: Path
    image_size: tuple[int, int] | None
    box: tuple[float, float, float, float]
    score: float
    upright: bool = True


def load_detections(path: Path | str, dataset: KeypointDataset, images: Path | str, least: float = 0.0) -> tuple[Detection, ...]:
    """The boxes of a COCO detection results file that are of `dataset`'s category and score at least `least`.

    Boxes of one image follow each other. Raises ValueError, naming the entry, for a file of another kind, a box without area,
    an image that the annotations do not know, and where no box is left.
    """
    entries = read_json(path, "detections")
    if not isinstance(entries, list):
        raise ValueError(f"{path} is not a COCO detection results file, a list of image_id, category_id, bbox and score")
    known = {image["id"]: image for image in dataset.coco["images"]}
    found = []
    for number, entry in enumerate(entries):
        try:
            if entry.get("category_id", dataset.category_id) != dataset.category_id or entry["score"] < least:
                continue
            found.append(_detection(entry, known, Path(images)))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            why = f"{type(error).__name__} {error}" if not isinstance(error, ValueError) else str(error)
            raise ValueError(f"{path}, entry {number}: {why}") from error
    if not found:
        raise ValueError(f"{path} holds no box of {dataset.category.name!r} with a score of at least {least:g}")
    missing = next((one.image_path for one in found if not one.image_path.is_file()), None)
    if missing is not None:
        raise ValueError(f"{path} has boxes in {missing.name}, which is not in {images}")
    sizes = {one.image_path: one.image_size for one in found}
    frame = dataset.frame.with_images(sizes, sizes.get)
    found = [replace(one, upright=frame.is_upright(one.image_path)) for one in found] if frame.stored else found
    return tuple(sorted(found, key=lambda one: str(one.image_path)))


def _detection(entry: dict[str, Any], known: dict[int, dict[str, Any]], folder: Path) -> Detection:
    image = known.get(entry["image_id"])
    if image is None:
        raise ValueError(f"image {entry['image_id']} is not in the annotations")
    size = (int(image["height"]), int(image["width"]))
    return Detection(
        entry["image_id"],
        folder / image["file_name"],
        size,
        checked_box(entry["bbox"], f"image {image['file_name']}"),
        float(entry["score"]),
    )
