"""Writing images into a folder for each class, as `load_classification_dataset` reads them; repeat an interrupted call."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, read_json, remove_all_parts, write_bytes, write_json

ORIGIN = "origin.json"  # what the folder was imported from
MAGIC = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"BM": ".bmp", b"GIF8": ".gif", b"II*\0": ".tif", b"MM\0*": ".tif"}
FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f]')


@dataclass(frozen=True)
class LabelledImage:
    """An encoded image of a data set.

    Args:
        key: Its place in the data set, which becomes the name of the file.
        data: The encoded image.
        label: Index of its class.
        class_name: Name of its class.
    """

    key: str
    data: bytes
    label: int
    class_name: str

    def __post_init__(self) -> None:
        if not self.suffix:
            raise HRNetError(f"image {self.key} is not JPEG, PNG, BMP, GIF, TIFF or WebP: it begins with {self.data[:4]!r}")

    @property
    def suffix(self) -> str:
        """Suffix of the file by the first bytes of the image, such as ".jpg"; "" for an unknown format."""
        if self.data[:4] == b"RIFF" and self.data[8:12] == b"WEBP":
            return ".webp"
        return next((suffix for magic, suffix in MAGIC.items() if self.data.startswith(magic)), "")


def write_class_folders(images: Iterable[LabelledImage], output: Path, origin: dict[str, Any]) -> int:
    """Write images to OUTPUT/CLASS/KEY.jpg (or .png, ...) as they are encoded.

    They are written to `OUTPUT.part`, which is renamed when it is complete. An interrupted import of the same origin continues
    there. A complete output of the same origin is left as it is.

    Args:
        images: The images.
        output: Folder to write.
        origin: What is imported, as plain data.

    Returns:
        Number of images.

    Raises:
        HRNetError: The folder holds something else, there are no images, or two classes have the same name.
    """
    if output.exists():
        return _imported_before(output, origin)
    part = check_output_folder(output.with_name(f"{output.name}.part"))
    _check_origin(part, origin)
    count = _write_images(images, part)
    if not count:
        raise HRNetError(f"no images to import into {output}")
    try:
        remove_all_parts(part)  # of images that were interrupted
        os.replace(part, output)
    except OSError as error:
        raise HRNetError(f"cannot write {output}: {error.strerror or error}") from error
    return count


def _write_images(images: Iterable[LabelledImage], folder: Path) -> int:
    """Write the images that are not in their class's folder yet, and return the number of all."""
    labels: dict[str, int] = {}
    count = 0
    for image in images:
        count += 1
        class_folder = folder_name(image.class_name)
        if labels.setdefault(class_folder, image.label) != image.label:
            raise HRNetError(
                f"classes {labels[class_folder]} and {image.label} are both named {image.class_name!r}: name them by `classes`"
            )
        path = folder / class_folder / f"{image.key}{image.suffix}"
        if not path.is_file():
            write_bytes(path, image.data)
    return count


def check_new_or_imported(output: Path) -> None:
    """Raise HRNetError where `output` exists and was not imported. Call it before a download."""
    if output.exists() and not (output / ORIGIN).is_file():
        raise HRNetError(f"{output} exists already; give another `output`")


def _imported_before(output: Path, origin: dict[str, Any]) -> int:
    """Return the number of images in a complete folder; HRNetError where it has another origin."""
    check_new_or_imported(output)
    if read_json(output / ORIGIN, "origin of a data set") != origin:
        raise HRNetError(f"{output} exists already and holds other data; give another `output`")
    return sum(path.is_file() for path in output.glob("*/*"))


def folder_name(class_name: str) -> str:
    """Return the folder of a class: its name without the characters that file systems forbid."""
    name = FORBIDDEN.sub("_", class_name.strip()).lstrip(".")
    if not name:
        raise HRNetError(f"class {class_name!r} cannot be the name of a folder")
    return name


def _check_origin(part: Path, origin: dict[str, Any]) -> None:
    path = part / ORIGIN
    if not path.is_file():
        write_json(path, origin)
    elif read_json(path, "unfinished data set") != origin:
        raise HRNetError(f"{part} holds other data: remove it, or give another `output`")
