"""Folders of images, and folders of them by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mobile_eval.datasets.class_data import ClassData, check_count

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff")


def images_in(folder: Path | str) -> list[Path]:
    """The image files in a folder and those within it, by name; hidden ones are passed over."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"image folder {folder} does not exist")
    inside = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in inside if not any(part.startswith(".") for part in path.relative_to(folder).parts))


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

    def head(self, count: int | None) -> ClassFolders:
        """Of each class its part of `count` images, taken evenly; all for None."""
        check_count(count, "images")
        if count is None or count >= len(self):
            return self
        return replace(self, images=tuple(self.images[index * len(self) // count] for index in range(count)))

    def numbered_as(self, classes: Sequence[str], *, named: bool = True) -> ClassFolders:
        """With the indices that a model of `classes` gives its classes; where these are not `named`, folders keep their order."""
        if len(classes) != len(self.classes):
            raise ValueError(f"the model has {len(classes)} classes, but the number of class folders is {len(self.classes)}")
        if not named:
            return self
        strange = [name for name in self.classes if name not in classes]
        if strange:
            raise ValueError(f"there is a folder {strange[0]!r}, but the model's classes are {', '.join(classes[:10])}")
        images = (ClassifiedImage(one.image_path, classes.index(self.classes[one.label])) for one in self.images)
        return ClassFolders(tuple(images), tuple(classes))


def load_class_folders(folder: Path | str) -> ClassFolders:
    """A folder with a folder of images for each class, classes in the order of their names, as ImageNet is laid out.

    Raises ValueError for a folder that does not exist or holds no folders, and names a class that has no images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"image folder {folder} does not exist")
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not inside:
        raise ValueError(f"{folder} holds no folder; expected one for each class, with its images inside")
    images: list[ClassifiedImage] = []
    for label, place in enumerate(inside):
        found = [ClassifiedImage(path, label) for path in images_in(place)]
        if not found:
            raise ValueError(f"class folder {place} has no images")
        images += found
    return ClassFolders(tuple(images), tuple(path.name for path in inside))
