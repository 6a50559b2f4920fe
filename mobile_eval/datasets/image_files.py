"""The image files of a dataset."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.messages import number_of

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
NOTE_SUFFIXES = (".json", ".txt", ".md", ".csv", ".ini", ".db")  # files that often accompany images
MAX_LISTED = 3  # skipped files in a message


@dataclass(frozen=True)
class ImageFiles:
    """The files in a folder and its subfolders.

    Args:
        images: The image files, sorted by path.
        skipped: Files that are not images, sorted by path, without those that often accompany images.
    """

    images: tuple[Path, ...]
    skipped: tuple[Path, ...]


def check_folder(folder: Path | str) -> Path:
    """The folder; HRNetError if it does not exist."""
    if not Path(folder).is_dir():
        raise HRNetError(f"image folder {folder} does not exist")
    return Path(folder)


def image_files(folder: Path | str) -> ImageFiles:
    """List the files in a folder and its subfolders. Links are followed; hidden files and folders are ignored."""
    files = sorted(_files_within(check_folder(folder)))
    images = tuple(path for path in files if path.suffix.lower() in SUFFIXES and path.is_file())
    others = set(files) - set(images)
    return ImageFiles(images, tuple(path for path in files if path in others and path.suffix.lower() not in NOTE_SUFFIXES))


def check_images_exist(images: Collection[Path], annotations: Path | str, folder: Path | str) -> None:
    """Raise HRNetError if an image that annotations name does not exist.

    Args:
        images: The image files.
        annotations: The file that names them, for messages.
        folder: The folder that they should be in.
    """
    check_folder(folder)
    missing = [path for path in images if not path.is_file()]
    if missing:
        files = number_of(len(missing), "image files")
        raise HRNetError(f"{annotations} names {files} not found in {folder}, first: {missing[0].name}")


def skipped_files_summary(skipped: Sequence[Path]) -> str:
    """The number of skipped files and the names of the first; "" if there are none."""
    if not skipped:
        return ""
    names = ", ".join(path.name for path in skipped[:MAX_LISTED]) + (", ..." if len(skipped) > MAX_LISTED else "")
    return f"{number_of(len(skipped), 'files')} skipped: {names}"


def _files_within(folder: Path, parents: tuple[str, ...] = ()) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in parents:  # a link to a folder that contains it
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files_within(folder / entry.name, (*parents, real))
            else:
                yield folder / entry.name
