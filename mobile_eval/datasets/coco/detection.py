"""Detection data sets: images and the boxes in them, as COCO instances JSON."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.classes import ClassDataset
from mobile_eval.datasets.coco.invalid_labels import InvalidLabels, how_many
from mobile_eval.datasets.coco.schema import (
    CocoFile,
    Id,
    as_annotation,
    box_in,
    checked_coco,
    is_crowd,
    is_of_crowd,
    key_of,
    usable_area,
)
from mobile_eval.datasets.coordinate_frame import find_frame
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json

KIND = "a COCO instances file"
Box = tuple[float, float, float, float]
Labelled = list[tuple[Box, int]]  # boxes and their classes


@dataclass(frozen=True, eq=False)
class DetectionImage:
    """An image of `image_size` (height, width), its boxes (N, 4) as x, y, width, height in pixels, and their classes (N,).

    An image without boxes is background.
    """

    image_id: Id
    image_path: Path
    image_size: tuple[int, int] | None
    boxes: NDArray[np.float64] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    upright: bool = True  # annotated as EXIF turns it, or else as it is stored


@dataclass(frozen=True, eq=False)
class DetectionDataset(ClassDataset):
    """The images of an annotation file, its classes with their ids, and its content for COCO's own evaluation.

    Crowds are boxes of none of the images: COCO's evaluation passes over what is found in them. `remarks` say what of the file is
    left out or taken otherwise than it says.
    """

    task = "detection"
    images: tuple[DetectionImage, ...]
    category_ids: tuple[Id, ...] = ()
    coco: dict[str, Any] = field(repr=False, default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def skipped_summary(self) -> str:
        """What of the file is left out or taken otherwise than it says."""
        return "; ".join(self.remarks)

    def part(self, which: slice) -> DetectionDataset:
        """The images of a slice, annotations to match."""
        images = self.images[which]
        ids = {image.image_id for image in images}
        coco = {
            **self.coco,
            "images": [image for image in self.coco["images"] if image["id"] in ids],
            "annotations": [annotation for annotation in self.coco["annotations"] if annotation["image_id"] in ids],
        }
        return DetectionDataset(images, self.classes, self.category_ids, coco)


def load_detection_dataset(
    annotations: Path | str, images: Path | str, *, strict: bool = False, exif: str | None = None
) -> DetectionDataset:
    """Read a COCO instances file; its classes are in the order of their ids.

    Annotations without a box in one of the images, or of an unknown category, are left out as long as they are no more than
    1 % of the file's. Images without boxes are background.

    Args:
        annotations: The file.
        images: The folder that it names images in.
        strict: Refuse the file at the first bad annotation.
        exif: How images are annotated that EXIF turns, one of `coordinate_frame.FRAMES`; None leaves it to the sizes in the file.

    Raises:
        HRNetError: The file is empty or of another kind, an image is missing, or there are too many bad annotations; it names
            the file and the first bad one.
    """
    file = checked_coco(read_json(annotations, "annotation file"), str(annotations), KIND)
    if any(category.get("keypoints") for category in file.categories):
        raise HRNetError(f"{annotations} is a COCO keypoint file; detection takes {KIND}: boxes and their classes")
    reader = _BoxReader(file, strict=strict)
    reader.read()
    found = tuple(_image(image, reader.of_image[image["id"]], Path(images)) for image in file.images.values())
    if not any(len(image.boxes) for image in found):
        raise HRNetError(f"{annotations} holds no {'box' if found else 'image'}")
    _check_files(found, annotations, Path(images))
    sizes = {one.image_path: one.image_size for one in found}
    frame = find_frame(sizes, sizes.get, annotations, exif)
    if frame.stored:
        found = tuple(replace(one, upright=frame.is_upright(one.image_path)) for one in found)
    categories = reader.categories
    tables = {"images": list(file.images.values()), "categories": categories, "annotations": reader.kept}
    names, ids = (tuple(category[key] for category in categories) for key in ("name", "id"))
    background = sum(not len(image.boxes) for image in found)
    remarks = (*reader.remarks(), f"{how_many(background, 'image')} without boxes: background" if background else "")
    return DetectionDataset(found, names, ids, tables, tuple(filter(None, remarks)))


class _BoxReader:
    """Reads the annotations of a file and counts what is left out of them."""

    def __init__(self, file: CocoFile, *, strict: bool):
        self.file = file
        by_number = all(isinstance(category["id"], int) for category in file.categories)
        self.categories = sorted(file.categories, key=lambda one: one["id"] if by_number else str(one["id"]))
        self.labels = {str(category["id"]): label for label, category in enumerate(self.categories)}
        self.bad = InvalidLabels(file.source, "annotations", "left out", strict=strict)
        self.of_image: defaultdict[Id, Labelled] = defaultdict(list)
        self.kept: list[dict[str, Any]] = []  # for COCO's evaluation
        self._crowds = self._areas = 0

    def read(self) -> None:
        """Read them all. Raises HRNetError where too many are bad."""
        for place, entry in enumerate(self.file.annotations, 1):
            if is_of_crowd(entry):
                self._crowds += 1
                with contextlib.suppress(HRNetError):  # one that cannot be used is passed over
                    self._keep(entry, place, *self._read(entry, place))
                continue
            self.bad.total += 1
            try:
                image, category, box = self._read(entry, place)
            except HRNetError as error:
                self.bad.add(str(error))
                continue
            self.of_image[image["id"]].append((box, self.labels[str(category["id"])]))
            self._areas += entry.get("area") is not None and not usable_area(entry["area"])
            self._keep(entry, place, image, category, box)
        self.bad.check()

    def _read(self, entry: Any, place: int) -> tuple[dict[str, Any], dict[str, Any], Box]:
        """The image, category and box of an annotation."""
        annotation, where = as_annotation(entry, place)
        is_crowd(annotation, where)
        label = self.labels.get(key_of(annotation.get("category_id")) or "")
        if label is None:
            known = f"{brief(annotation.get('category_id'))} is none of the file's ({_few(self.labels)})"
            raise HRNetError(f"{where}: category {known}" if "category_id" in annotation else f"{where} has no category_id")
        image = self.file.image_of(annotation, where)
        return image, self.categories[label], box_in(image, annotation, f"{where} ({image['file_name']})")

    def _keep(self, entry: dict[str, Any], place: int, image: dict[str, Any], category: dict[str, Any], box: Box) -> None:
        own = {"id": place, "image_id": image["id"], "category_id": category["id"], "iscrowd": int(is_of_crowd(entry))}
        area = entry.get("area")
        self.kept.append({**entry, **own, "bbox": list(box), "area": area if usable_area(area) else None})

    def remarks(self) -> tuple[str, ...]:
        """What was left out, and what was taken otherwise than the file says."""
        return (
            f"{how_many(self._crowds, 'annotation')} of crowds left out" if self._crowds else "",
            self.bad.remark(),
            f"the area of {how_many(self._areas, 'annotation')} is not above 0: taken as that of the box" if self._areas else "",
        )


def _image(image: dict[str, Any], labelled: Labelled, folder: Path) -> DetectionImage:
    boxes = np.array([box for box, _ in labelled], np.float64).reshape(-1, 4)
    classes = np.array([label for _, label in labelled], np.int64)
    return DetectionImage(image["id"], folder / image["file_name"], (image["height"], image["width"]), boxes, classes)


def _few(values: Any) -> str:
    shown = list(map(str, values))
    return ", ".join(shown[:5]) + (", ..." if len(shown) > len(shown[:5]) else "")


def _check_files(images: tuple[DetectionImage, ...], annotations: Path | str, folder: Path) -> None:
    if not folder.is_dir():
        raise HRNetError(f"image folder {folder} does not exist")
    missing = [image for image in images if not image.image_path.is_file()]
    if missing:
        raise HRNetError(
            f"{annotations} names {len(missing)} image files that are not in {folder}, the first is {missing[0].image_path.name}"
        )
