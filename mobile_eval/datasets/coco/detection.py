"""Detection datasets: images and their boxes, in COCO's format."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.classes import ClassDataset
from mobile_eval.datasets.coco.invalid_labels import InvalidLabels
from mobile_eval.datasets.coco.schema import (
    Box,
    CocoAnnotation,
    CocoCategory,
    CocoData,
    CocoFile,
    CocoImage,
    Entry,
    Id,
    as_annotation,
    check_iscrowd,
    id_key,
    is_crowd,
    parse_coco,
    read_box,
    valid_area,
)
from mobile_eval.datasets.coordinate_frame import find_frame
from mobile_eval.datasets.image_files import check_images_exist
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.messages import number_of
from mobile_eval.typed import brief

KIND = "a COCO instances file"
MAX_LISTED = 5  # ids in a message


@dataclass(frozen=True, eq=False)
class DetectionImage:
    """An image and its boxes. An image without boxes is background.

    Args:
        image_id: Id in the annotation file.
        image_path: The image file.
        image_size: (height, width) as the annotation file states it.
        boxes: Boxes (N, 4) as x, y, width, height in pixels.
        labels: Class indices (N,).
        upright: Whether coordinates refer to the image as EXIF turns it, or as it is stored.
    """

    image_id: Id
    image_path: Path
    image_size: tuple[int, int] | None
    boxes: NDArray[np.float64] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    upright: bool = True


def _no_data() -> CocoData:
    return {"images": [], "categories": [], "annotations": []}


@dataclass(frozen=True, eq=False)
class DetectionDataset(ClassDataset[DetectionImage]):
    """The images of an annotation file and their boxes.

    Crowds are not among the boxes. COCO's evaluation, which gets them in `coco`, ignores predictions inside them.

    Args:
        images: The images.
        classes: Names of the classes.
        category_ids: Ids of the classes in the annotation file.
        coco: The content of the file for COCO's evaluation.
        remarks: What was skipped in the file, or read differently from what it states.
        invalid: The invalid labels of the file, of each kind.
    """

    task = "detection"
    category_ids: tuple[Id, ...] = ()
    coco: CocoData = field(repr=False, default_factory=_no_data)
    remarks: tuple[str, ...] = ()
    invalid: tuple[InvalidLabels, ...] = ()

    @property
    def skipped_summary(self) -> str:
        """What was skipped in the file, or read differently from what it states."""
        return "; ".join(self.remarks)

    def part(self, which: slice) -> DetectionDataset:
        """The images of a slice with their annotations."""
        images = self.images[which]
        ids = {image.image_id for image in images}
        coco = self.coco.copy()
        coco["images"] = [image for image in self.coco["images"] if image["id"] in ids]
        coco["annotations"] = [annotation for annotation in self.coco["annotations"] if annotation["image_id"] in ids]
        return DetectionDataset(images, self.classes, self.category_ids, coco)


def load_detection_dataset(
    annotations: Path | str, images: Path | str, *, strict: bool = False, exif: str | None = None
) -> DetectionDataset:
    """Read a COCO instances file. The classes are in the order of their ids.

    Annotations without a box in an image, or of an unknown category, are skipped if they are at most 1 % of the file's.
    Images without boxes are background.

    Args:
        annotations: The file.
        images: The folder that file names are relative to.
        strict: Refuse the file at the first invalid annotation.
        exif: Whether annotations refer to images as EXIF turns them or as they are stored, one of `coordinate_frame.FRAMES`;
            None decides by the image sizes in the file.

    Raises:
        HRNetError: The file is empty or of another kind, an image is missing, or too many annotations are invalid. The message
            names the file and the first invalid annotation.
    """
    file = parse_coco(read_json(annotations, "annotation file"), str(annotations), KIND)
    if any(category.get("keypoints") for category in file.categories):
        raise HRNetError(f"{annotations} is a COCO keypoint file; detection takes {KIND}: boxes and their classes")
    reader = _BoxReader(file, strict=strict)
    reader.read()
    items = tuple(reader.image(entry, Path(images)) for entry in file.images.values())
    background = sum(not len(item.boxes) for item in items)
    if background == len(items):
        raise HRNetError(f"{annotations} holds no {'box' if items else 'image'}")
    sizes = {item.image_path: item.image_size for item in items}
    check_images_exist(sizes, annotations, images)
    frame = find_frame(sizes, sizes.get, annotations, exif)
    if frame.stored:
        items = tuple(replace(item, upright=frame.is_upright(item.image_path)) for item in items)
    coco: CocoData = {
        "images": list(file.images.values()), "categories": reader.categories, "annotations": reader.entries,
    }  # fmt: skip
    remarks = (*reader.remarks(), f"{number_of(background, 'images')} without boxes: background" if background else "")
    names, ids = (tuple(category[key] for category in reader.categories) for key in ("name", "id"))
    return DetectionDataset(items, cast(tuple[str, ...], names), ids, coco, tuple(filter(None, remarks)), (reader.annotations,))


class _BoxReader:
    """Reads the annotations of a file and counts those that are skipped."""

    def __init__(self, file: CocoFile, *, strict: bool):
        self.file = file
        has_numbers = all(isinstance(category["id"], int) for category in file.categories)
        self.categories = sorted(
            file.categories, key=lambda category: int(category["id"]) if has_numbers else str(category["id"])
        )
        self.labels = {str(category["id"]): label for label, category in enumerate(self.categories)}
        self.entries: list[CocoAnnotation] = []  # for COCO's evaluation
        self.annotations = InvalidLabels(file.source, "annotations", "skipped", strict=strict)
        self._boxes: defaultdict[Id, list[tuple[Box, int]]] = defaultdict(list)  # boxes and labels by image
        self._crowds = self._invalid_areas = 0

    def read(self) -> None:
        """Read all annotations; HRNetError if too many are invalid."""
        for place, entry in enumerate(self.file.annotations, 1):
            if is_crowd(entry):
                self._crowds += 1
                with contextlib.suppress(HRNetError):  # an invalid crowd is skipped
                    self._keep(place, *self._parse(entry, place))
                continue
            self.annotations.total += 1
            try:
                annotation, image, category, box = self._parse(entry, place)
            except HRNetError as error:
                self.annotations.add(str(error))
                continue
            self._boxes[image["id"]].append((box, self.labels[str(category["id"])]))
            area = annotation.get("area")
            self._invalid_areas += area is not None and valid_area(area) is None
            self._keep(place, annotation, image, category, box)
        self.annotations.check()

    def image(self, entry: CocoImage, folder: Path) -> DetectionImage:
        """An image with its boxes."""
        labelled = self._boxes[entry["id"]]
        boxes = np.array([box for box, _ in labelled], np.float64).reshape(-1, 4)
        labels = np.array([label for _, label in labelled], np.int64)
        return DetectionImage(entry["id"], folder / entry["file_name"], (entry["height"], entry["width"]), boxes, labels)

    def remarks(self) -> tuple[str, ...]:
        """What was skipped, and what was changed; "" for each kind that did not occur."""
        areas = number_of(self._invalid_areas, "annotations")
        return (
            f"{number_of(self._crowds, 'annotations')} of crowds skipped" if self._crowds else "",
            self.annotations.summary(),
            f"the area of {areas} is not above 0: the area of the box is used" if self._invalid_areas else "",
        )

    def _parse(self, entry: object, place: int) -> tuple[Entry, CocoImage, CocoCategory, Box]:
        """An annotation with its image, category and box; HRNetError if it is invalid."""
        annotation, where = as_annotation(entry, place)
        check_iscrowd(annotation, where)
        if "category_id" not in annotation:
            raise HRNetError(f"{where} has no category_id")
        label = self.labels.get(id_key(annotation["category_id"]) or "")
        if label is None:
            known = _listed(self.labels)
            raise HRNetError(f"{where}: category_id {brief(annotation['category_id'])} is not among the file's ({known})")
        image = self.file.image_of(annotation, where)
        return annotation, image, self.categories[label], read_box(annotation, image, f"{where} ({image['file_name']})")

    def _keep(self, place: int, annotation: Entry, image: CocoImage, category: CocoCategory, box: Box) -> None:
        checked = {
            "id": place,
            "image_id": image["id"],
            "category_id": category["id"],
            "iscrowd": int(is_crowd(annotation)),
            "bbox": list(box),
            "area": valid_area(annotation.get("area")),
        }
        self.entries.append(cast(CocoAnnotation, {**annotation, **checked}))


def _listed(ids: Iterable[str]) -> str:
    listed = list(ids)
    return ", ".join(listed[:MAX_LISTED]) + (", ..." if len(listed) > MAX_LISTED else "")
