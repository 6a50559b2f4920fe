"""Writes images into a folder for each class, as `load_classification_dataset` reads them; interrupted, the same call goes on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, read_json, remove_all_parts, write_bytes, write_json

ORIGIN = "origin.json"  # what the folder was made of
MAGIC = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"BM": ".bmp", b"GIF8": ".gif", b"II*\0": ".tif", b"MM\0*": ".tif"}
FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f]')


@dataclass(frozen=True)
class LabelledImage:
    """An encoded image, its `place` in the data set, which becomes the file's name, and its class by number and name."""

    place: str
    data: bytes
    label: int
    class_name: str

    def __post_init__(self) -> None:
        if not self.ending:
            raise HRNetError(f"image {self.place} is no JPEG, PNG, BMP, GIF, TIFF or WebP: it begins with {self.data[:4]!r}")

    @property
    def ending(self) -> str:
        """What the file's name ends in, by its first bytes; "" for a format that is not known."""
        if self.data[:4] == b"RIFF" and self.data[8:12] == b"WEBP":
            return ".webp"
        return next((ending for magic, ending in MAGIC.items() if self.data.startswith(magic)), "")


def write_class_folders(images: Iterable[LabelledImage], output: Path, origin: dict[str, Any]) -> int:
    """Write `images` to `output`/CLASS/PLACE.jpg (or what they are) as they are encoded; how many there are.

    They go to `OUTPUT.part`, which gets its name when all are there. An interrupted one is gone on with where its `origin` is
    the same: files that are there are whole. An `output` of the same origin is left as it is. Raises HRNetError where something
    else is there, and for an image without class or of a format that the package does not read.
    """
    if output.exists():
        return _unpacked_before(output, origin)
    part = check_output_folder(output.with_name(f"{output.name}.part"))
    _check_origin(part, origin)
    labels: dict[str, int] = {}
    count = 0
    for image in images:
        folder = folder_name(image.class_name)
        if labels.setdefault(folder, image.label) != image.label:
            raise HRNetError(
                f"classes {labels[folder]} and {image.label} are both named {image.class_name!r}: name them apart with `classes`"
            )
        path = part / folder / f"{image.place}{image.ending}"
        if not path.is_file():
            write_bytes(path, image.data)
        count += 1
    if not count:
        raise HRNetError("there are no images in it")
    try:
        remove_all_parts(part)  # of images whose writing was interrupted
        os.replace(part, output)
    except OSError as error:
        raise HRNetError(f"cannot write {output}: {error.strerror or error}") from error
    return count


def check_new_or_unpacked(output: Path) -> None:
    """Raise HRNetError where `output` holds something that was not unpacked: before a download, not after."""
    if output.exists() and not (output / ORIGIN).is_file():
        raise HRNetError(f"{output} is there already; give the name of a new folder")


def _unpacked_before(output: Path, origin: dict[str, Any]) -> int:
    """How many images there are in a finished folder; HRNetError where it is not of this origin."""
    check_new_or_unpacked(output)
    if read_json(output / ORIGIN, "origin of a data set") != origin:
        raise HRNetError(f"{output} is there already, of other data; give the name of a new folder")
    return sum(path.is_file() for path in output.glob("*/*"))


def folder_name(class_name: str) -> str:
    """The folder of a class: its name without what file systems do not take."""
    name = FORBIDDEN.sub("_", class_name.strip()).lstrip(".")
    if not name:
        raise HRNetError(f"a class is named {class_name!r}, which is no name for a folder")
    return name


def _check_origin(part: Path, origin: dict[str, Any]) -> None:
    path = part / ORIGIN
    if not path.is_file():
        write_json(path, origin)
    elif read_json(path, "unfinished data set") != origin:
        raise HRNetError(f"{part} is of other data: remove it, or give another `output`")
