"""Classification datasets: a folder with a subfolder of images for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mobile_eval.datasets.classes import ClassDataset, check_limit
from mobile_eval.datasets.image_files import NOTE_SUFFIXES, check_folder, image_files, skipped_files_summary
from mobile_eval.errors import HRNetError

MAX_LISTED = 10  # classes in a message


@dataclass(frozen=True)
class ClassificationImage:
    """An image and its class.

    Args:
        image_path: The image file.
        label: Index of the class.
        image_size: None: folders of images do not state sizes.
        upright: True: a class refers to the image as it is displayed.
    """

    image_path: Path
    label: int
    image_size: tuple[int, int] | None = None
    upright: bool = True


@dataclass(frozen=True, eq=False)
class ClassificationDataset(ClassDataset[ClassificationImage]):
    """Images in a folder for each class.

    Args:
        images: The images, class by class.
        classes: Names of the folders, or the classes of a model.
        skipped: Files that are not images.
    """

    task = "classification"
    skipped: tuple[Path, ...] = ()

    @property
    def skipped_summary(self) -> str:
        """The skipped files."""
        return skipped_files_summary(self.skipped)

    def head(self, count: int | None) -> ClassificationDataset:
        """`count` images, evenly from all classes; all for None."""
        check_limit(count, "images")
        if count is None or count >= len(self):
            return self
        return replace(self, images=tuple(self.images[index * len(self) // count] for index in range(count)))

    def with_classes(self, classes: Sequence[str], *, by_name: bool = True) -> ClassificationDataset:
        """The dataset with the class indices of a model.

        Args:
            classes: The classes of the model.
            by_name: Match folders and classes by name; otherwise folders keep their indices.
        """
        if len(classes) != len(self.classes):
            raise HRNetError(f"the model has {len(classes)} classes, but the number of class folders is {len(self.classes)}")
        if not by_name:
            return self
        unknown = next((name for name in self.classes if name not in classes), None)
        if unknown is not None:
            listed = ", ".join(classes[:MAX_LISTED]) + (", ..." if len(classes) > MAX_LISTED else "")
            raise HRNetError(f"class folder {unknown!r} is not a class of the model: {listed}")
        images = (replace(image, label=classes.index(self.classes[image.label])) for image in self.images)
        return replace(self, images=tuple(images), classes=tuple(classes))


def load_classification_dataset(folder: Path | str) -> ClassificationDataset:
    """Read a folder with a subfolder of images for each class (ImageNet's layout). Classes are in the order of their names.

    Raises:
        HRNetError: The folder does not exist, has less than two subfolders, or a subfolder has no images.
    """
    folder = check_folder(folder)
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    class_folders = [path for path in entries if path.is_dir()]
    if not class_folders:
        raise HRNetError(f"{folder} holds no folder; expected one for each class, with its images inside")
    if len(class_folders) == 1:
        raise HRNetError(
            f"{folder} holds one class folder, {class_folders[0].name}; expected at least two: with one class, every prediction "
            "is correct"
        )
    images: list[ClassificationImage] = []
    skipped = [path for path in entries if not path.is_dir() and path.suffix.lower() not in NOTE_SUFFIXES]
    for label, class_folder in enumerate(class_folders):
        files = image_files(class_folder)
        if not files.images:
            reason = f" ({skipped_files_summary(files.skipped)})" if files.skipped else ""
            raise HRNetError(f"class folder {class_folder} has no images{reason}")
        images += [ClassificationImage(path, label) for path in files.images]
        skipped += files.skipped
    return ClassificationDataset(tuple(images), tuple(path.name for path in class_folders), tuple(skipped))
