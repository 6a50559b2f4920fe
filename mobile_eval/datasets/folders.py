"""Folders of images, and folders of them by class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mobile_eval.datasets.class_data import ClassData, check_count
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


def skipped_line(skipped: Sequence[Path]) -> str:
    """How many files are skipped, and the first of them; "" for none."""
    if not skipped:
        return ""
    names = ", ".join(path.name for path in skipped[:NAMED]) + (", ..." if len(skipped) > NAMED else "")
    return f"{number_of(len(skipped), 'files')} skipped: {names}"


@dataclass(frozen=True)
class ClassifiedImage:
    """An image and the index of its class."""

    image_path: Path
    label: int
    image_size: tuple[int, int] | None = None  # nothing says it
    upright: bool = True  # a class is of the image as it is shown


@dataclass(frozen=True, eq=False)
class ClassFolders(ClassData):
    """Images in a folder for each class; `classes` are the folders' names, or a model's."""

    task = "classification"
    images: tuple[ClassifiedImage, ...]
    skipped: tuple[Path, ...] = ()

    @property
    def skipped_summary(self) -> str:
        """The files that are skipped."""
        return skipped_line(self.skipped)

    def head(self, count: int | None) -> ClassFolders:
        """Of each class its part of `count` images, taken evenly; all for None."""
        check_count(count, "images")
        if count is None or count >= len(self):
            return self
        return replace(self, images=tuple(self.images[index * len(self) // count] for index in range(count)))

    def numbered_as(self, classes: Sequence[str], *, named: bool = True) -> ClassFolders:
        """With the indices that a model of `classes` gives its classes; where these are not `named`, folders keep their order."""
        if len(classes) != len(self.classes):
            raise HRNetError(f"the model has {len(classes)} classes, but the number of class folders is {len(self.classes)}")
        if not named:
            return self
        strange = [name for name in self.classes if name not in classes]
        if strange:
            raise HRNetError(f"there is a folder {strange[0]!r}, but the model's classes are {', '.join(classes[:10])}")
        images = (ClassifiedImage(one.image_path, classes.index(self.classes[one.label])) for one in self.images)
        return replace(self, images=tuple(images), classes=tuple(classes))


def load_class_folders(folder: Path | str) -> ClassFolders:
    """A folder with a folder of images for each class, classes in the order of their names, as ImageNet is laid out.

    Raises HRNetError for a folder that does not exist or holds less than two folders, and names a class that has no images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise HRNetError(f"image folder {folder} does not exist")
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    inside = [path for path in visible if path.is_dir()]
    if not inside:
        raise HRNetError(f"{folder} holds no folder; expected one for each class, with its images inside")
    if len(inside) == 1:
        raise HRNetError(
            f"{folder} holds one class folder, {inside[0].name}; expected two at least: images of one are always right"
        )
    images: list[ClassifiedImage] = []
    skipped = [path for path in visible if not path.is_dir() and path.suffix.lower() not in NOTES]
    for label, place in enumerate(inside):
        found = image_files(place)
        if not found.images:
            why = f" ({skipped_line(found.skipped)})" if found.skipped else ""
            raise HRNetError(f"class folder {place} has no images{why}")
        images += [ClassifiedImage(path, label) for path in found.images]
        skipped += found.skipped
    return ClassFolders(tuple(images), tuple(path.name for path in inside), tuple(skipped))
