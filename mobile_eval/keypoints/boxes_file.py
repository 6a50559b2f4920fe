"""A file of boxes for `predict`: COCO annotations or detection results, matched to images that are given by path."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.image.geometry import checked_box

Box = tuple[float, float, float, float]
LEAST_SCORE = 0.3  # of a box that is looked into
PERSON, COCO_PERSON_ID = "person", 1  # the category's id in COCO's detection results, which name no categories
KINDS = "COCO annotations, or a list of entries with bbox and file_name or image_id"


@dataclass(frozen=True)
class BoxChoice:
    """Which boxes of a file are taken.

    Args:
        category: Name or id of the boxes' category; None for the one named `default_category`, as the model's is.
        default_category: Name of the category to take where none is chosen.
        least_score: Boxes that are scored lower are left out; those without a score are taken.
    """

    category: str | None = None
    default_category: str = PERSON
    least_score: float = LEAST_SCORE


def load_boxes(path: Path | str, images: Sequence[Path | str], choice: BoxChoice | None = None) -> dict[Path, list[Box]]:
    """The boxes of a JSON file, by image.

    The file is a COCO annotation file, or a list of entries (COCO detection results) with "bbox" [x, y, width, height] and
    "file_name" or "image_id". A file name belongs to the image whose path ends with it: "b/1.jpg" is of data/b/1.jpg, not of
    data/a/1.jpg. Without a COCO file's table of images, an `image_id` is that of the image whose name is this number
    (`000000000139.jpg` is 139). Entries of other images and crowds are left out.

    Raises:
        HRNetError: The file is of another kind, an entry is not as it should be (its place is named), its name or number is that
            of several images, or no box is left.
    """
    choice = choice or BoxChoice()
    data = read_json(path, "boxes file")
    entries, table = _entries(data, path), _image_names(data, path)
    finder = _ImageFinder([Path(image) for image in images])
    category = _category_id(data, entries, choice, path)
    boxes: dict[Path, list[Box]] = {}
    for number, entry in enumerate(entries):
        where = f"boxes file {path}, entry {number}"
        image = finder.find(entry, table, where)
        if image is None or entry.get("iscrowd") or category not in (None, entry.get("category_id", category)):
            continue
        if _number(entry.get("score", 1.0), "score", where) >= choice.least_score:
            boxes.setdefault(image, []).append(_checked_pixels(entry.get("bbox"), where))
    if not boxes:
        names = ", ".join(str(image) for image in finder.images[:3])
        of = f"of category {category} and " if category is not None else ""
        raise HRNetError(
            f"boxes file {path} holds no box {of}of score {choice.least_score:g} or more for {names}; entries need file_name, "
            "the end of an image's path, or image_id"
        )
    return boxes


def image_sizes(path: Path | str, images: Sequence[Path | str]) -> dict[Path, tuple[int, int]]:
    """The (height, width) that a COCO file's table names, by image; of those that it names one of."""
    finder = _ImageFinder([Path(image) for image in images])
    sizes = {}
    for number, entry in enumerate(_table(read_json(path, "boxes file"), "images", path)):
        height, width = entry.get("height"), entry.get("width")
        image = finder.find({"file_name": entry.get("file_name")}, {}, f"boxes file {path}, image {number}")
        if image is not None and isinstance(height, int) and isinstance(width, int):
            sizes[image] = (height, width)
    return sizes


class _ImageFinder:
    """The image that an entry is of, among those that were given."""

    def __init__(self, images: Sequence[Path]):
        self.images = list(dict.fromkeys(images))
        self._by_name: dict[str, list[Path]] = {}
        self._by_number: dict[int, list[Path]] = {}
        for image in self.images:
            self._by_name.setdefault(image.name, []).append(image)
            if image.stem.isdecimal():
                self._by_number.setdefault(int(image.stem), []).append(image)

    def find(self, entry: Mapping[str, Any], table: Mapping[Any, str], where: str) -> Path | None:
        """None where it is of another image."""
        name, number = entry.get("file_name"), entry.get("image_id")
        if name is None and number is None:
            raise HRNetError(f"{where}: it has neither file_name nor image_id")
        if name is None and table:
            name = table.get(number) if _is_id(number) else None
            if name is None:
                raise HRNetError(f"{where}: image_id {number!r} is none of the file's images")
        if name is not None and (not isinstance(name, str) or not name):
            raise HRNetError(f"{where}: file_name must be a path, got {name!r}")
        if name is None and not _is_id(number):
            raise HRNetError(f"{where}: image_id must be a number, got {number!r}")
        found = self._of_path(PurePath(name)) if name is not None else self._of_number(number)
        if len(found) > 1:
            what = f"file_name {name!r}" if name is not None else f"image_id {number}"
            raise HRNetError(f"{where}: {what} is that of {found[0]} and of {found[1]}; give a longer path as file_name")
        return found[0] if found else None

    def _of_path(self, name: PurePath) -> list[Path]:
        parts = tuple(part for part in name.parts if part != ".")
        same = self._by_name.get(name.name, [])
        return [image for image in same if parts in (image.parts[-len(parts) :], image.absolute().parts[-len(parts) :])]

    def _of_number(self, number: Any) -> list[Path]:
        known = not isinstance(number, str) or number.isdecimal()
        return self._by_number.get(int(number), []) if known else []


def _entries(data: Any, path: Path | str) -> list[dict[str, Any]]:
    entries = data.get("annotations") if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise HRNetError(f"boxes file {path} must hold {KINDS}")
    wrong = next((number for number, entry in enumerate(entries) if not isinstance(entry, dict)), None)
    if wrong is not None:
        what = "an object with bbox and file_name or image_id"
        raise HRNetError(f"boxes file {path}, entry {wrong}: expected {what}, got {str(entries[wrong])[:40]!r}")
    return entries


def _image_names(data: Any, path: Path | str) -> dict[Any, str]:
    """A COCO file's names of images, by id; none of a list of entries."""
    names: dict[Any, str] = {}
    for number, image in enumerate(_table(data, "images", path)):
        if not _is_id(image.get("id")) or not isinstance(image.get("file_name"), str):
            raise HRNetError(f"boxes file {path}, image {number}: expected an id and a file_name, got {image!r}")
        if names.setdefault(image["id"], image["file_name"]) != image["file_name"]:
            raise HRNetError(f"boxes file {path}, image {number}: the id {image['id']!r} is that of {names[image['id']]} too")
    return names


def _category_id(data: Any, entries: Sequence[Mapping[str, Any]], choice: BoxChoice, path: Path | str) -> Any:
    """The id of the category that is chosen; None where entries have none, or all the same."""
    used = list(dict.fromkeys(repr(entry["category_id"]) for entry in entries if "category_id" in entry))
    wrong = next((n for n, entry in enumerate(entries) if "category_id" in entry and not _is_id(entry["category_id"])), None)
    if wrong is not None:
        raise HRNetError(f"boxes file {path}, entry {wrong}: category_id must be a number, got {entries[wrong]['category_id']!r}")
    categories = _table(data, "categories", path)
    named = {str(category.get("name")): category.get("id") for category in categories}
    ids = {str(key): key for key in [*named.values(), *(entry["category_id"] for entry in entries if "category_id" in entry)]}
    if choice.category is not None:
        chosen = named.get(choice.category, ids.get(choice.category))
    elif len(used) <= 1 and len(named) <= 1:
        return None
    else:
        chosen = named.get(choice.default_category)
        if not named and choice.default_category == PERSON:
            chosen = ids.get(str(COCO_PERSON_ID))
    if chosen is None:
        wanted = repr(choice.category or choice.default_category)
        known = ", ".join([*named] or [*ids][:10]) or "none"
        raise HRNetError(f"boxes file {path} has no category {wanted}, there are {known}: give one by `category`")
    return chosen


def _table(data: Any, name: str, path: Path | str) -> list[dict[str, Any]]:
    rows = data.get(name, []) if isinstance(data, dict) else []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise HRNetError(f"boxes file {path}: {name!r} must be a list of objects, got {str(rows)[:40]}")
    return rows


def _checked_pixels(box: Any, where: str) -> Box:
    """A box that may lie in an image: its numbers are finite, and it is at least a pixel large."""
    if not isinstance(box, list):
        raise HRNetError(f"{where}: bbox must be [x, y, width, height], got {box!r}")
    numbers = checked_box([_number(value, "bbox", where) for value in box], where)
    if min(numbers[2:]) < 1:
        raise HRNetError(f"{where}: bbox {box} is smaller than a pixel; expected x, y, width and height in pixels")
    return numbers


def _number(value: Any, name: str, where: str) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise HRNetError(f"{where}: {name} must hold finite numbers, got {str(value)[:40]!r}")
    return number


def _is_id(value: Any) -> bool:
    """Whether it is a number or text, which COCO's tables refer to each other by."""
    return (isinstance(value, int | str) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
