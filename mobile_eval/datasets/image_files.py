"""The image files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.words import number_of

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
NOTES = (".json", ".txt", ".md", ".csv", ".ini", ".db")  # what often lies beside images and is none
NAMED = 3  # of what is skipped


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder and of those within it, by path; and the files that are skipped, since they are none."""

    images: tuple[Path, ...]
    skipped: tuple[Path, ...]


def image_files(folder: Path | str) -> ImageFiles:
    """The files in a folder and those within it; links are followed, hidden files and folders are not looked at."""
    folder = Path(folder)
    if not folder.is_dir():
        raise HRNetError(f"image folder {folder} does not exist")
    files = sorted(_files_within(folder))
    images = tuple(path for path in files if path.suffix.lower() in SUFFIXES and path.is_file())
    others = set(files) - set(images)
    return ImageFiles(images, tuple(path for path in files if path in others and path.suffix.lower() not in NOTES))


def _files_within(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:  # a link to a folder that it lies in
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files_within(folder / entry.name, (*above, real))
            else:
                yield folder / entry.name


def skipped_files_summary(skipped: Sequence[Path]) -> str:
    """How many files are skipped, and the first of them; "" for none."""
    if not skipped:
        return ""
    names = ", ".join(path.name for path in skipped[:NAMED]) + (", ..." if len(skipped) > NAMED else "")
    return f"{number_of(len(skipped), 'files')} skipped: {names}"
