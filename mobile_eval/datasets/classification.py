"""Folders of images, and folders of them by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mobile_eval.datasets.classes import ClassDataset, check_limit
from mobile_eval.datasets.image_files import NOTES, image_files, skipped_files_summary
from mobile_eval.errors import HRNetError


@dataclass(frozen=True)
class ClassificationImage:
    """An image and the index of its class."""

    image_path: Path
    label: int
    image_size: tuple[int, int] | None = None  # nothing says it
    upright: bool = True  # a class is of the image as it is shown


@dataclass(frozen=True, eq=False)
class ClassificationDataset(ClassDataset):
    """Images in a folder for each class; `classes` are the folders' names, or a model's."""

    task = "classification"
    images: tuple[ClassificationImage, ...]
    skipped: tuple[Path, ...] = ()

    @property
    def skipped_summary(self) -> str:
        """The files that are skipped."""
        return skipped_files_summary(self.skipped)

    def head(self, count: int | None) -> ClassificationDataset:
        """Of each class its part of `count` images, taken evenly; all for None."""
        check_limit(count, "images")
        if count is None or count >= len(self):
            return self
        return replace(self, images=tuple(self.images[index * len(self) // count] for index in range(count)))

    def numbered_as(self, classes: Sequence[str], *, named: bool = True) -> ClassificationDataset:
        """With the indices that a model of `classes` gives its classes; where these are not `named`, folders keep their order."""
        if len(classes) != len(self.classes):
            raise HRNetError(f"the model has {len(classes)} classes, but the number of class folders is {len(self.classes)}")
        if not named:
            return self
        strange = [name for name in self.classes if name not in classes]
        if strange:
            raise HRNetError(f"there is a folder {strange[0]!r}, but the model's classes are {', '.join(classes[:10])}")
        images = (ClassificationImage(one.image_path, classes.index(self.classes[one.label])) for one in self.images)
        return replace(self, images=tuple(images), classes=tuple(classes))


def load_classification_dataset(folder: Path | str) -> ClassificationDataset:
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
    images: list[ClassificationImage] = []
    skipped = [path for path in visible if not path.is_dir() and path.suffix.lower() not in NOTES]
    for label, place in enumerate(inside):
        found = image_files(place)
        if not found.images:
            why = f" ({skipped_files_summary(found.skipped)})" if found.skipped else ""
            raise HRNetError(f"class folder {place} has no images{why}")
        images += [ClassificationImage(path, label) for path in found.images]
        skipped += found.skipped
    return ClassificationDataset(tuple(images), tuple(path.name for path in inside), tuple(skipped))
