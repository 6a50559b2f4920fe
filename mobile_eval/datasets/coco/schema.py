"""COCO annotation files as JSON holds them, checked when they are loaded: what is wrong names the entry and the key.

What is wrong with the file as a whole, its images or its categories refuses it (HRNetError). What is wrong with one annotation is
raised as HRNetError by the functions that read it, for the caller to count (`bad_labels`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import checked_box

Id = int | str
PARTS = ("images", "categories", "annotations")
NUMBERS = {int, float, type(None)}
ONE_PIXEL = 8  # px: in images of more, a box or a person within the first pixel is given in shares of the image


def as_id(value: Any) -> Id | None:
    """The id that `value` is, whole numbers as int; None where it is none, such as NaN or a list."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int | str) and value != "" else None


def key_of(value: Any) -> str | None:
    """What ids are compared by, so that 7, 7.0 and "7" are one; None where `value` is no id."""
    own = as_id(value)
    return None if own is None else str(own)


def numbered(ids: Iterable[Any]) -> dict[str, int]:
    """1, 2, ... by the keys of `ids`, in the order that pycocotools takes images in: numbers by size, else as text.

    The order decides which of equal scores in several images comes first, and so AP.
    """
    own = [one for one in map(as_id, ids) if one is not None]
    ordered = sorted(own, key=int) if all(isinstance(one, int) for one in own) else sorted(own, key=str)
    return {key: number for number, key in enumerate(dict.fromkeys(map(str, ordered)), 1)}


@dataclass(frozen=True)
class CocoFile:
    """A file's images by the keys of their ids, its categories and its annotations; `source` names it in messages.

    Images have an id, a file_name, a width and a height, and categories an id and a name, which are as they should be.
    """

    source: str
    images: dict[str, dict[str, Any]]
    categories: list[dict[str, Any]]
    annotations: list[Any]

    def image_of(self, annotation: dict[str, Any], where: str) -> dict[str, Any]:
        """The image that an annotation is in; HRNetError, which begins with `where`, if there is none."""
        if "image_id" not in annotation:
            raise HRNetError(f"{where} has no image_id")
        key = key_of(annotation["image_id"])
        if key is None or key not in self.images:
            raise HRNetError(f"{where}: image_id {brief(annotation['image_id'])} is none of the file's images")
        return self.images[key]


def checked_coco(data: Any, source: str, kind: str) -> CocoFile:
    """The content of a COCO file that is to be `kind`, such as "a COCO keypoint file"."""
    if not isinstance(data, dict):
        raise HRNetError(f"{source} is not {kind}: it must be an object with {', '.join(PARTS)}, got {brief(data)}")
    for name in PARTS:
        if not isinstance(data.get(name), list):
            raise HRNetError(f"{source} is not {kind}: its {name} must be a list, got {brief(data.get(name))}")
    return CocoFile(source, _images(data["images"], source), _categories(data["categories"], source), data["annotations"])


def _images(entries: list[Any], source: str) -> dict[str, dict[str, Any]]:
    images: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries, 1):
        where = f"{source}, image number {number}"
        own, name = _id(entry, where), _text(entry, "file_name", where)
        sizes = {key: _whole(entry, key, f"{where} ({name})") for key in ("width", "height")}
        before = images.setdefault(str(own), {**entry, "id": own, **sizes})
        if before["file_name"] != name:
            raise HRNetError(
                f"{source}: two images, {before['file_name']} and {name}, have the id {own!r}; number the images of a merged "
                "file, and the image_id of its annotations, anew"
            )
    return images


def _categories(entries: list[Any], source: str) -> list[dict[str, Any]]:
    categories: dict[str, dict[str, Any]] = {}
    for number, entry in enumerate(entries, 1):
        where = f"{source}, category number {number}"
        own = _id(entry, where)
        category = {**entry, "id": own, "name": str(entry["name"] if _is_name(entry.get("name")) else own)}
        if str(own) in categories:
            raise HRNetError(
                f"{source}: two categories, {categories[str(own)]['name']} and {category['name']}, have the id {own!r}"
            )
        categories[str(own)] = category
    return list(categories.values())


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int) and value != ""


def _id(entry: Any, where: str) -> Id:
    if not isinstance(entry, dict):
        raise HRNetError(f"{where} must be an object, got {brief(entry)}")
    own = as_id(entry.get("id"))
    if own is None:
        raise HRNetError(f"{where}: its id must be a whole number or a text, got {brief(entry.get('id'))}")
    return own


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise HRNetError(f"{where}: its {key} must be a text, got {brief(value)}")
    return value


def _whole(entry: dict[str, Any], key: str, where: str) -> int:
    value = number(entry.get(key))
    if value is None or not (value >= 1 and value.is_integer()):
        raise HRNetError(f"{where}: its {key} must be a whole number of pixels, got {brief(entry.get(key))}")
    return int(value)


def number(value: Any) -> float | None:
    """The number as float, infinite where it is beyond every float; None for what is no number, such as a text or a bool."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def usable_area(value: Any) -> bool:
    """Whether an annotation's area is one: a finite number above 0."""
    area = number(value)
    return area is not None and 0 < area < math.inf


def as_annotation(entry: Any, place: int) -> tuple[dict[str, Any], str]:
    """The annotation at that place of the file, from 1, and what to call it; HRNetError where it is no object."""
    if not isinstance(entry, dict):
        raise HRNetError(f"annotation number {place} must be an object, got {brief(entry)}")
    return entry, f"annotation {brief(entry['id'])}" if "id" in entry else f"annotation number {place}"


def is_crowd(annotation: dict[str, Any], where: str) -> bool:
    """Whether an annotation is of a crowd; HRNetError for an iscrowd that does not say."""
    value = annotation.get("iscrowd")
    if value not in (None, 0, 1):
        raise HRNetError(f"{where}: iscrowd must be 0 or 1, got {brief(value)}")
    return bool(value)


def is_of_crowd(entry: Any) -> bool:
    """Whether an entry is an annotation that says that it is of a crowd."""
    return isinstance(entry, dict) and entry.get("iscrowd") in (True, 1)


def box_in(image: dict[str, Any], annotation: dict[str, Any], where: str) -> tuple[float, float, float, float]:
    """An annotation's box (x, y, width, height) in pixels; HRNetError where it is none, has no area or lies outside the image."""
    if "bbox" not in annotation:
        raise HRNetError(f"{where} has no bbox")
    left, top, width, height = box = checked_box(annotation["bbox"], where)
    size = f"{image['width']}x{image['height']} image"
    if left >= image["width"] or top >= image["height"] or left + width <= 0 or top + height <= 0:
        raise HRNetError(f"{where}: bbox {brief(annotation['bbox'])} lies outside the {size}")
    if min(left, top) >= 0 and max(box) <= 1 and _has_pixels(image):
        raise HRNetError(f"{where}: bbox {brief(annotation['bbox'])} of a {size} must be in pixels, not in shares of the image")
    return box


def keypoints_in(image: dict[str, Any], annotation: dict[str, Any], joints: int, where: str) -> NDArray[np.float64]:
    """An annotation's keypoints (joints, 3) as x, y, visibility; NaN where the file has NaN or null.

    Raises HRNetError where they are missing, other than numbers, too few or too many, or given in shares of the image.
    """
    values = annotation.get("keypoints")
    if not isinstance(values, list) or not values:
        raise HRNetError(f"{where} has no keypoints" if not values else f"{where}: keypoints must be a list, got {brief(values)}")
    if not set(map(type, values)) <= NUMBERS:
        wrong = next(value for value in values if type(value) not in NUMBERS)
        raise HRNetError(f"{where}: keypoints must be numbers, got {brief(wrong)}")
    if len(values) != 3 * joints:
        raise HRNetError(f"{where}: {len(values)} keypoint numbers, expected 3 x {joints}")
    try:
        points = np.array(values, np.float64).reshape(-1, 3)  # null becomes NaN
    except OverflowError:
        points = np.array([math.nan if value is None else number(value) for value in values], np.float64).reshape(-1, 3)
    labelled = points[points[:, 2] > 0, :2]
    labelled = labelled[np.isfinite(labelled).all(axis=1)]
    if len(labelled) > 1 and labelled.max() <= 1 and labelled.min() >= 0 and _has_pixels(image):
        raise HRNetError(f"{where}: keypoints must be in pixels, not in shares of the image; all lie between 0 and 1")
    return points


def _has_pixels(image: dict[str, Any]) -> bool:
    return bool(max(image["width"], image["height"]) > ONE_PIXEL)
