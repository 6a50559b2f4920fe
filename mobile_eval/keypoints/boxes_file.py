"""Boxes for `predict`: a file of COCO annotations or detection results, matched to images that are given by path."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.image.geometry import Box, checked_box
from mobile_eval.typed import Json, JsonObject, Size

MIN_SCORE = 0.3
PERSON, COCO_PERSON_ID = "person", 1  # COCO's detection results have ids of categories, but no names
CONTENT = "COCO annotations, or a list of entries with bbox and file_name or image_id"


@dataclass(frozen=True)
class BoxChoice:
    """Which boxes of a file are used.

    Args:
        category: Name or id of the boxes' category; None for `default_category`.
        default_category: Name of the category if none is given: that of the model.
        min_score: Boxes with a lower score are skipped. Boxes without a score are used.
    """

    category: str | None = None
    default_category: str = PERSON
    min_score: float = MIN_SCORE


def load_boxes(path: Path | str, images: Sequence[Path | str], choice: BoxChoice | None = None) -> dict[Path, list[Box]]:
    """Read the boxes of images from a JSON file.

    The file is a COCO annotation file, or a list of entries (such as COCO detection results) with "bbox" [x, y, width, height]
    and "file_name" or "image_id". A file name matches the image whose path ends with it: "b/1.jpg" matches data/b/1.jpg, but not
    data/a/1.jpg. Without a table of images, an image_id matches the image with this number as its name (000000000139.jpg is
    139). Crowds and entries of other images are skipped.

    Args:
        path: The file.
        images: The images.
        choice: Category and minimum score of the boxes; None for the default.

    Returns:
        Boxes (x, y, width, height) by image, for images with at least one.

    Raises:
        HRNetError: The file is of another kind, an entry is invalid or matches several images, or there is no box.
    """
    choice = choice or BoxChoice()
    data = read_json(path, "boxes file")
    entries, file_names = _entries(data, path), _image_names(data, path)
    finder = _ImageFinder([Path(image) for image in images])
    category = _category_id(data, entries, choice, path)
    boxes: dict[Path, list[Box]] = {}
    for index, entry in enumerate(entries):
        where = f"boxes file {path}, entry {index}"
        image = finder.find(entry, file_names, where)
        if image is None or entry.get("iscrowd") or category not in (None, entry.get("category_id", category)):
            continue
        if _number(entry.get("score", 1.0), "score", where) >= choice.min_score:
            boxes.setdefault(image, []).append(_checked_pixels(entry.get("bbox"), where))
    if not boxes:
        names = ", ".join(str(image) for image in finder.images[:3])
        of_category = f"of category {category} and " if category is not None else ""
        raise HRNetError(
            f"boxes file {path} holds no box {of_category}of score {choice.min_score:g} or more for {names}; entries need "
            "file_name, the end of an image's path, or image_id"
        )
    return boxes


def image_sizes(path: Path | str, images: Sequence[Path | str]) -> dict[Path, Size]:
    """Return the (height, width) of images in a COCO file's table, for those that the table has."""
    finder = _ImageFinder([Path(image) for image in images])
    sizes = {}
    for index, entry in enumerate(_table(read_json(path, "boxes file"), "images", path)):
        height, width = entry.get("height"), entry.get("width")
        image = finder.find({"file_name": entry.get("file_name")}, {}, f"boxes file {path}, image {index}")
        if image is not None and isinstance(height, int) and isinstance(width, int):
            sizes[image] = (height, width)
    return sizes


class _ImageFinder:
    """Finds the image of an entry by file name or number."""

    def __init__(self, images: Sequence[Path]):
        self.images = list(dict.fromkeys(images))
        self._by_name: dict[str, list[Path]] = {}
        self._by_number: dict[int, list[Path]] = {}
        for image in self.images:
            self._by_name.setdefault(image.name, []).append(image)
            if image.stem.isdecimal():
                self._by_number.setdefault(int(image.stem), []).append(image)

    def find(self, entry: Mapping[str, Json], file_names: Mapping[Json, str], where: str) -> Path | None:
        """Return the image of an entry, or None if it is none of the images; HRNetError if it is not unique."""
        name, number = _name_or_number(entry, file_names, where)
        matches = self._by_path(PurePath(name)) if name is not None else self._by_id(number)
        if len(matches) > 1:
            reference = f"file_name {name!r}" if name is not None else f"image_id {number}"
            raise HRNetError(f"{where}: {reference} matches {matches[0]} and {matches[1]}; give a longer path as file_name")
        return matches[0] if matches else None

    def _by_path(self, name: PurePath) -> list[Path]:
        parts = tuple(part for part in name.parts if part != ".")
        same_name = self._by_name.get(name.name, [])
        return [image for image in same_name if parts in (image.parts[-len(parts) :], image.absolute().parts[-len(parts) :])]

    def _by_id(self, number: Json) -> list[Path]:
        is_number = not isinstance(number, str) or number.isdecimal()
        return self._by_number.get(int(number), []) if is_number else []


def _name_or_number(entry: Mapping[str, Json], file_names: Mapping[Json, str], where: str) -> tuple[str | None, Json]:
    """Return an entry's file name, by the file's table if there is one, or else its image_id."""
    name, number = entry.get("file_name"), entry.get("image_id")
    if name is None and number is None:
        raise HRNetError(f"{where}: it has neither file_name nor image_id")
    if name is None and file_names:
        name = file_names.get(number) if _is_id(number) else None
        if name is None:
            raise HRNetError(f"{where}: image_id {number!r} is not among the file's images")
    if name is not None and (not isinstance(name, str) or not name):
        raise HRNetError(f"{where}: file_name must be a path, got {name!r}")
    if name is None and not _is_id(number):
        raise HRNetError(f"{where}: image_id must be a number, got {number!r}")
    return name, number


def _entries(data: Json, path: Path | str) -> list[JsonObject]:
    entries = data.get("annotations") if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise HRNetError(f"boxes file {path} must hold {CONTENT}")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            expected = "an object with bbox and file_name or image_id"
            raise HRNetError(f"boxes file {path}, entry {index}: expected {expected}, got {str(entry)[:40]!r}")
    return entries


def _image_names(data: Json, path: Path | str) -> dict[Json, str]:
    """Return the file names of a COCO file's images by id; nothing for a list of entries."""
    names: dict[Json, str] = {}
    for index, image in enumerate(_table(data, "images", path)):
        if not _is_id(image.get("id")) or not isinstance(image.get("file_name"), str):
            raise HRNetError(f"boxes file {path}, image {index}: expected an id and a file_name, got {image!r}")
        if names.setdefault(image["id"], image["file_name"]) != image["file_name"]:
            raise HRNetError(f"boxes file {path}, image {index}: the id {image['id']!r} is also that of {names[image['id']]}")
    return names


def _category_id(data: Json, entries: Sequence[JsonObject], choice: BoxChoice, path: Path | str) -> Json:
    """Return the id of the chosen category; None if entries have no category, or all the same."""
    ids = [(index, entry["category_id"]) for index, entry in enumerate(entries) if "category_id" in entry]
    for index, category_id in ids:
        if not _is_id(category_id):
            raise HRNetError(f"boxes file {path}, entry {index}: category_id must be a number, got {category_id!r}")
    by_name = {str(category.get("name")): category.get("id") for category in _table(data, "categories", path)}
    by_id = {str(key): key for key in [*by_name.values(), *(category_id for _, category_id in ids)]}
    if choice.category is not None:
        chosen = by_name.get(choice.category, by_id.get(choice.category))
    elif len({repr(category_id) for _, category_id in ids}) <= 1 and len(by_name) <= 1:
        return None
    else:
        chosen = by_name.get(choice.default_category)
        if not by_name and choice.default_category == PERSON:
            chosen = by_id.get(str(COCO_PERSON_ID))
    if chosen is None:
        category = choice.category or choice.default_category
        known = ", ".join([*by_name] or [*by_id][:10]) or "none"
        raise HRNetError(f"boxes file {path} has no category {category!r}, there are {known}: choose one with `category`")
    return chosen


def _table(data: Json, name: str, path: Path | str) -> list[JsonObject]:
    rows = data.get(name, []) if isinstance(data, dict) else []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise HRNetError(f"boxes file {path}: {name!r} must be a list of objects, got {str(rows)[:40]}")
    return rows


def _checked_pixels(box: Json, where: str) -> Box:
    """Check a box in pixels: its numbers are finite, and it is at least a pixel large."""
    if not isinstance(box, list):
        raise HRNetError(f"{where}: bbox must be [x, y, width, height], got {box!r}")
    numbers = checked_box([_number(value, "bbox", where) for value in box], where)
    if min(numbers[2:]) < 1:
        raise HRNetError(f"{where}: bbox {box} is smaller than a pixel; expected x, y, width and height in pixels")
    return numbers


def _number(value: Json, name: str, where: str) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise HRNetError(f"{where}: {name} must be finite numbers, got {str(value)[:40]!r}")
    return number


def _is_id(value: Json) -> bool:
    """Whether a value is a number or a string, as ids in COCO files are."""
    return (isinstance(value, int | str) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
