"""The data of a training, as options of the command line and arguments in Python; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobile_eval.datasets.base import DataSource
from mobile_eval.options import option, redeclared

DATA = "Data"  # heading in --help


@dataclass(frozen=True)
class TrainingData:
    """The files and folders of a training set and a validation set. Which of them are needed depends on the task.

    What is not set of a validation set is that of the training set.
    """

    images: Path | None = redeclared(DataSource, "images", None)
    val_images: Path | None = option(None, "Folder of the validation images. Default: that of training.", panel=DATA)
    train_annotations: Path | None = redeclared(DataSource, "annotations", None)
    val_annotations: Path | None = option(None, "Validation annotations.", panel=DATA)
    masks: Path | None = redeclared(DataSource, "masks", None)
    val_masks: Path | None = option(None, "Folder of the validation masks.", panel=DATA)
    classes: Path | None = redeclared(DataSource, "classes", None)
    category: str | None = redeclared(DataSource, "category", None)
    strict: bool = redeclared(DataSource, "strict", False)
    exif: str | None = redeclared(DataSource, "exif", None)

    @property
    def train(self) -> DataSource:
        """What is set of the training set."""
        return DataSource(
            self.images, self.train_annotations, self.masks, self.classes, self.category, self.strict, exif=self.exif
        )

    @property
    def val(self) -> DataSource:
        """What is set of the validation set."""
        return DataSource(self.val_images, self.val_annotations, self.val_masks)
