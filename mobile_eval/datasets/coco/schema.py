"""The entries of COCO JSON files: their types, and the checks of an annotation file.

An error in the file as a whole, its images or its categories raises HRNetError when the file is parsed. An error in one
annotation raises HRNetError in the function that reads it, so that the caller can count it (see `invalid_labels`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import checked_box
from mobile_eval.typed import Json, brief

Id = int | str
Box = tuple[float, float, float, float]  # x, y, width, height in pixels
Entry = Mapping[str, Json]  # an entry that is not checked yet

TABLES = ("images", "categories", "annotations")
KEYPOINT_TYPES = {int, float, type(None)}
FIRST_PIXEL = 8  # in images larger than this, boxes and keypoints that all lie within one pixel are relative coordinates


class CocoImage(TypedDict):
    """An entry of "images"; `width` and `height` in pixels."""

    id: Id
    file_name: str
    width: int
    height: int


class _Category(TypedDict):
    id: Id
    name: str


class CocoCategory(_Category, total=False):
    """An entry of "categories". `skeleton` holds pairs of keypoint numbers, which count from 1."""

    keypoints: list[str]
    skeleton: object
    sigmas: list[float] | None
    flip_pairs: object


class _Annotation(TypedDict):
    id: int
    image_id: Id
    category_id: Id
    iscrowd: int
    area: float | None


class CocoAnnotation(_Annotation, total=False):
    """An entry of "annotations" that COCO's evaluation can read. `keypoints` holds x, y and visibility of each keypoint."""

    bbox: Sequence[float]
    keypoints: list[float]
    num_keypoints: int


class CocoData(TypedDict):
    """The content of an annotation file."""

    images: list[CocoImage]
    categories: list[CocoCategory]
    annotations: list[CocoAnnotation]


def as_id(value: object) -> Id | None:
    """The value as an id, a whole number or a string; None if it cannot be one, such as NaN or a list."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int | str) and value != "" else None


def id_key(value: object) -> str | None:
    """The string by which ids are compared, the same for 7, 7.0 and "7"; None if `value` cannot be an id."""
    checked = as_id(value)
    return None if checked is None else str(checked)


def number_ids(values: Iterable[object]) -> dict[str, int]:
    """Number ids 1, 2, ... in the order in which pycocotools visits images.

    The order decides which of two equal scores in different images comes first, and therefore AP.

    Args:
        values: Ids, with repetitions.

    Returns:
        The numbers by `id_key`: ids in the order of their values if all are numbers, otherwise in the order of their strings.
    """
    ids = [checked for checked in map(as_id, values) if checked is not None]
    ordered = sorted(ids, key=int) if all(isinstance(checked, int) for checked in ids) else sorted(ids, key=str)
    return {key: number for number, key in enumerate(dict.fromkeys(map(str, ordered)), 1)}


@dataclass(frozen=True)
class CocoFile:
    """A parsed annotation file; its annotations are not checked yet.

    Args:
        source: Name of the file in messages.
        images: Images by `id_key`.
        categories: Categories in the order of the file.
        annotations: Annotations as JSON holds them.
    """

    source: str
    images: dict[str, CocoImage]
    categories: list[CocoCategory]
    annotations: list[object]

    def image_of(self, annotation: Entry, where: str) -> CocoImage:
        """The image of an annotation; HRNetError, which begins with `where`, if the file has no such image."""
        if "image_id" not in annotation:
            raise HRNetError(f"{where} has no image_id")
        key = id_key(annotation["image_id"])
        if key is None or key not in self.images:
            raise HRNetError(f"{where}: image_id {brief(annotation['image_id'])} is not among the file's images")
        return self.images[key]


def parse_coco(data: object, source: str, kind: str) -> CocoFile:
    """Check the images and categories of a COCO file.

    Args:
        data: The content of the file.
        source: Name of the file in messages.
        kind: Name of the expected kind of file in messages, such as "a COCO keypoint file".
    """
    if not isinstance(data, dict):
        raise HRNetError(f"{source} is not {kind}: it must be an object with {', '.join(TABLES)}, got {brief(data)}")
    for name in TABLES:
        if not isinstance(data.get(name), list):
            raise HRNetError(f"{source} is not {kind}: its {name} must be a list, got {brief(data.get(name))}")
    return CocoFile(source, _images(data["images"], source), _categories(data["categories"], source), data["annotations"])


def _images(entries: list[Json], source: str) -> dict[str, CocoImage]:
    images: dict[str, CocoImage] = {}
    for place, entry in enumerate(entries, 1):
        where = f"{source}, image number {place}"
        image_id, name = _id(entry, where), _text(entry, "file_name", where)
        sizes = {key: _pixels(entry, key, f"{where} ({name})") for key in ("width", "height")}
        first = images.setdefault(str(image_id), cast(CocoImage, {**entry, "id": image_id, **sizes}))
        if first["file_name"] != name:
            raise HRNetError(
                f"{source}: two images, {first['file_name']} and {name}, have the id {image_id!r}; renumber the images of a "
                "merged file, and the image_id of its annotations"
            )
    return images


def _categories(entries: list[Json], source: str) -> list[CocoCategory]:
    categories: dict[str, CocoCategory] = {}
    for place, entry in enumerate(entries, 1):
        category_id = _id(entry, f"{source}, category number {place}")
        name = str(entry["name"] if _is_name(entry.get("name")) else category_id)
        if str(category_id) in categories:
            first = categories[str(category_id)]["name"]
            raise HRNetError(f"{source}: two categories, {first} and {name}, have the id {category_id!r}")
        categories[str(category_id)] = cast(CocoCategory, {**entry, "id": category_id, "name": name})
    return list(categories.values())


def _is_name(value: object) -> bool:
    return isinstance(value, str | int) and value != ""


def _id(entry: object, where: str) -> Id:
    if not isinstance(entry, dict):
        raise HRNetError(f"{where} must be an object, got {brief(entry)}")
    checked = as_id(entry.get("id"))
    if checked is None:
        raise HRNetError(f"{where}: its id must be a whole number or a string, got {brief(entry.get('id'))}")
    return checked


def _text(entry: Entry, key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value or "\0" in value:
        raise HRNetError(f"{where}: its {key} must be a string, got {brief(value)}")
    return value


def _pixels(entry: Entry, key: str, where: str) -> int:
    value = as_float(entry.get(key))
    if value is None or not (value >= 1 and value.is_integer()):
        raise HRNetError(f"{where}: its {key} must be a whole number of pixels, got {brief(entry.get(key))}")
    return int(value)


def as_float(value: object) -> float | None:
    """The number as a float, infinite if it is too large for one; None for anything else, such as a string or a bool."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def valid_area(value: object) -> float | None:
    """An annotation's area in pixels; None unless it is a finite number above 0."""
    area = as_float(value)
    return area if area is not None and 0 < area < math.inf else None


def as_annotation(entry: object, place: int) -> tuple[Entry, str]:
    """Check that an annotation is an object.

    Args:
        entry: The annotation as JSON holds it.
        place: Its place in the file, counted from 1.

    Returns:
        The annotation, and its name in messages.
    """
    if not isinstance(entry, dict):
        raise HRNetError(f"annotation number {place} must be an object, got {brief(entry)}")
    return entry, f"annotation {brief(entry['id'])}" if "id" in entry else f"annotation number {place}"


def is_crowd(entry: object) -> bool:
    """Whether an entry is an annotation of a crowd."""
    return isinstance(entry, dict) and entry.get("iscrowd") in (True, 1)


def check_iscrowd(annotation: Entry, where: str) -> None:
    """Raise HRNetError if `iscrowd` is neither 0, 1 nor missing."""
    value = annotation.get("iscrowd")
    if value not in (None, 0, 1):
        raise HRNetError(f"{where}: iscrowd must be 0 or 1, got {brief(value)}")


def read_box(annotation: Entry, image: CocoImage, where: str) -> Box:
    """The box of an annotation; HRNetError if it is missing, has no area, lies outside the image or is not in pixels."""
    if "bbox" not in annotation:
        raise HRNetError(f"{where} has no bbox")
    left, top, width, height = box = checked_box(annotation["bbox"], where)
    size = f"{image['width']}x{image['height']} image"
    if left >= image["width"] or top >= image["height"] or left + width <= 0 or top + height <= 0:
        raise HRNetError(f"{where}: bbox {brief(annotation['bbox'])} lies outside the {size}")
    if min(left, top) >= 0 and max(box) <= 1 and _is_larger_than_a_pixel(image):
        raise HRNetError(f"{where}: bbox {brief(annotation['bbox'])} of a {size} must be in pixels, not relative to its size")
    return box


def read_keypoints(annotation: Entry, image: CocoImage, count: int, where: str) -> NDArray[np.float64]:
    """The keypoints of an annotation.

    Args:
        annotation: The annotation.
        image: Its image.
        count: Number of keypoints of the category.
        where: Name of the annotation in messages.

    Returns:
        Keypoints (count, 3) as x, y, visibility; NaN where the file has NaN or null.

    Raises:
        HRNetError: Keypoints are missing, are not numbers, have the wrong length, or are not in pixels.
    """
    values = annotation.get("keypoints")
    if not isinstance(values, list) or not values:
        raise HRNetError(f"{where} has no keypoints" if not values else f"{where}: keypoints must be a list, got {brief(values)}")
    if not set(map(type, values)) <= KEYPOINT_TYPES:
        wrong = next(value for value in values if type(value) not in KEYPOINT_TYPES)
        raise HRNetError(f"{where}: keypoints must be numbers, got {brief(wrong)}")
    if len(values) != 3 * count:
        raise HRNetError(f"{where}: {len(values)} keypoint numbers, expected 3 x {count}")
    try:
        keypoints = np.array(values, np.float64).reshape(-1, 3)  # null becomes NaN
    except OverflowError:
        keypoints = np.array([math.nan if value is None else as_float(value) for value in values], np.float64).reshape(-1, 3)
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    labelled = labelled[np.isfinite(labelled).all(axis=1)]
    if len(labelled) > 1 and labelled.max() <= 1 and labelled.min() >= 0 and _is_larger_than_a_pixel(image):
        raise HRNetError(f"{where}: keypoints must be in pixels, not relative to the image size; all lie between 0 and 1")
    return keypoints


def _is_larger_than_a_pixel(image: CocoImage) -> bool:
    return max(image["width"], image["height"]) > FIRST_PIXEL
