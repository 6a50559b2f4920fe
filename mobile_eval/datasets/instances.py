"""Detection data sets: images and the boxes in them, as COCO instances JSON."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.class_data import ClassData
from mobile_eval.datasets.frames import find_frame
from mobile_eval.files import read_json
from mobile_eval.geometry import checked_box

KIND = "a COCO instances file"


@dataclass(frozen=True, eq=False)
class InstanceImage:
    """An image of `image_size` (height, width), its boxes (N, 4) as x, y, width, height in pixels, and their classes (N,)."""

    image_id: int
    image_path: Path
    image_size: tuple[int, int] | None
    boxes: NDArray[np.float64] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    upright: bool = True  # annotated as EXIF turns it, or else as it is stored


@dataclass(frozen=True, eq=False)
class Instances(ClassData):
    """The images of an annotation file, its classes with their ids, and its content for COCO's own evaluation.

    Crowds are boxes of none of the images: COCO's evaluation passes over what is found in them.
    """

    task = "detection"
    images: tuple[InstanceImage, ...]
    category_ids: tuple[int, ...] = ()
    coco: dict[str, Any] = field(repr=False, default_factory=dict)

    @property
    def left_out(self) -> str:
        """How many annotations are no boxes to learn from."""
        count = sum(bool(annotation.get("iscrowd")) for annotation in self.coco["annotations"])
        return f"{count:,} annotations of crowds left out" if count else ""

    def part(self, which: slice) -> Instances:
        """The images of a slice, annotations to match."""
        images = self.images[which]
        ids = {image.image_id for image in images}
        coco = {
            **self.coco,
            "images": [image for image in self.coco["images"] if image["id"] in ids],
            "annotations": [annotation for annotation in self.coco["annotations"] if annotation["image_id"] in ids],
        }
        return Instances(images, self.classes, self.category_ids, coco)


def load_instances(annotations: Path | str, images: Path | str, *, exif: str | None = None) -> Instances:
    """Read a COCO instances file; its classes are in the order of their ids.

    `exif` is how images are annotated that EXIF turns, one of `frames.FRAMES`; None leaves it to the sizes in the file.

    Raises ValueError, naming the file and the entry, for a file that is empty or of another kind, categories that it does not
    list, a box without area or outside its image, and a missing image.
    """
    coco = read_json(annotations, "annotation file")
    try:
        categories = sorted(coco["categories"], key=lambda category: category["id"])
        if any(category.get("keypoints") for category in categories):
            raise ValueError(f"{annotations} is a COCO keypoint file; detection takes {KIND}: boxes and their classes")
        labels = {category["id"]: label for label, category in enumerate(categories)}
        entries = {image["id"]: image for image in coco["images"]}
        of_image = defaultdict(list)
        for annotation in coco["annotations"]:
            _check_known(annotation, entries, labels, annotations)
            if not annotation.get("iscrowd"):
                of_image[annotation["image_id"]].append(annotation)
        found = tuple(_image(image, of_image[image["id"]], labels, Path(images), annotations) for image in coco["images"])
        names = tuple(str(category["name"]) for category in categories)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{annotations} is not {KIND}: {type(error).__name__} {error}") from error
    if not any(len(image.boxes) for image in found):
        raise ValueError(f"{annotations} holds no {'box' if found else 'image'}")
    _check_files(found, annotations, Path(images))
    sizes = {one.image_path: one.image_size for one in found}
    frame = find_frame(sizes, sizes.get, annotations, exif)
    if frame.stored:
        found = tuple(replace(one, upright=frame.is_upright(one.image_path)) for one in found)
    return Instances(found, names, tuple(labels), coco)


def _check_known(annotation: dict[str, Any], images: dict[Any, Any], labels: dict[Any, int], source: Path | str) -> None:
    where = f"{source}, annotation {annotation['id']}"
    if annotation["category_id"] not in labels:
        raise ValueError(f"{where}: category {annotation['category_id']} is none of the file's ({_few(labels)})")
    if annotation["image_id"] not in images:
        raise ValueError(f"{where}: image {annotation['image_id']} is none of the file's images")


def _few(values: Any) -> str:
    shown = list(map(str, values))
    return ", ".join(shown[:5]) + (", ..." if len(shown) > len(shown[:5]) else "")


def _image(
    image: dict[str, Any], annotations: list[dict[str, Any]], labels: dict[Any, int], folder: Path, source: Path | str
) -> InstanceImage:
    size = (int(image["height"]), int(image["width"]))
    boxes = [_box(annotation, image, source) for annotation in annotations]
    classes = np.array([labels[annotation["category_id"]] for annotation in annotations], np.int64)
    stacked = np.array(boxes, np.float64).reshape(-1, 4)
    return InstanceImage(image["id"], folder / image["file_name"], size, stacked, classes)


def _box(annotation: dict[str, Any], image: dict[str, Any], source: Path | str) -> tuple[float, float, float, float]:
    where = f"{source}, annotation {annotation['id']} ({image['file_name']})"
    if "bbox" not in annotation:
        raise ValueError(f"{where} has no bbox")
    left, top, wide, high = checked_box(annotation["bbox"], where)
    if left >= image["width"] or top >= image["height"] or left + wide <= 0 or top + high <= 0:
        raise ValueError(f"{where}: bbox {annotation['bbox']} lies outside the {image['width']}x{image['height']} image")
    return left, top, wide, high


def _check_files(images: tuple[InstanceImage, ...], annotations: Path | str, folder: Path) -> None:
    if not folder.is_dir():
        raise ValueError(f"image folder {folder} does not exist")
    missing = [image for image in images if not image.image_path.is_file()]
    if missing:
        raise ValueError(
            f"{annotations} names {len(missing)} image files that are not in {folder}, the first is {missing[0].image_path.name}"
        )
