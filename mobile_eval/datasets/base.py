"""Datasets of any task: their files (`DataSource`), and their items and labels (`TaskDataset`)."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mobile_eval.errors import HRNetError
from mobile_eval.options import option
from mobile_eval.typed import Json, JsonObject

if TYPE_CHECKING:
    from typing_extensions import Self  # in `typing` from Python 3.11 on

logger = logging.getLogger(__name__)

PATHS = ("images", "annotations", "masks", "classes")
DATA = "Data"  # heading in --help


@dataclass(frozen=True)
class DataSource:
    """The files and folders of a dataset, and how they are read.

    Args:
        images: Folder of the images.
        annotations: Annotation file (keypoints, landmarks, boxes), or folder of annotation files.
        masks: Folder of the masks (segmentation).
        classes: File with the names of the classes, where nothing else names them.
        category: Name or id of the category to use, where the annotations have several.
        strict: Refuse the annotations at the first bad label.
        expected: Name of a model's category. It decides where `category` is None and the file has several.
        exif: Whether annotations are of the image as EXIF turns it or as it is stored, one of
            `datasets.coordinate_frame.FRAMES`. None decides by the sizes in the file.
    """

    images: Path | None = option(None, "Folder of the images; for classification, with a folder per class.", panel=DATA)
    annotations: Path | None = option(
        None, "COCO JSON of keypoints or boxes; for faces also WFLW's list, a CSV, or a folder of .pts files.", panel=DATA
    )
    masks: Path | None = option(None, "Folder of the masks: class indices; 255 is ignored (segmentation).", panel=DATA)
    classes: Path | None = option(
        None, "File with the class names of the masks, in order: a JSON list, or one name per line.", panel=DATA
    )
    category: str | None = option(
        None, "Name or id of the category, where several have keypoints. Default: that of the model or run.", panel=DATA
    )
    strict: bool = option(False, "Refuse the first bad label, instead of skipping up to 1 % of them.", panel=DATA)
    expected: str | None = field(default=None, compare=False)
    exif: str | None = option(
        None,
        "Whether annotations are of images as EXIF turns them (upright) or as stored. Default: decided by the image sizes.",
        panel=DATA,
        choices=("upright", "stored"),
    )

    def read_as(self, config: Mapping[str, Json]) -> DataSource:
        """The same, with the `exif` of a run's config where none is set here."""
        exif = config.get("train", {}).get("exif")
        return dataclasses.replace(self, exif=exif) if self.paths and self.exif is None and exif else self

    def path(self, name: str) -> Path:
        """The file or folder of that name; HRNetError if it is not set."""
        value = getattr(self, name)
        if not isinstance(value, Path):
            raise HRNetError(f"give `{name}`")
        return value

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and folders that are set."""
        return tuple(value for name in PATHS if (value := getattr(self, name)) is not None)

    def absolute(self) -> DataSource:
        """The same with absolute paths."""
        paths = {name: getattr(self, name) for name in PATHS}
        return dataclasses.replace(self, **{name: path.absolute() for name, path in paths.items() if path is not None})

    def to_json(self) -> JsonObject:
        """Plain data of the fields that are set."""
        paths = {name: str(value) for name in PATHS if (value := getattr(self, name)) is not None}
        choices = ("category", self.category), ("exif", self.exif)
        return {
            **paths,
            **{name: value for name, value in choices if value is not None},
            **({"strict": True} if self.strict else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> DataSource:
        """Read what `to_json` wrote."""
        values: JsonObject = {name: Path(value) if name in PATHS else value for name, value in data.items()}
        return cls(**values)


class TaskDataset(Protocol):
    """A dataset of any task.

    Attributes:
        items: The images, or the annotated instances of images.
        names: Names of the labels, one for each output channel: joints, landmarks or classes.
        label_schema: The labels as plain data: a COCO category of keypoints, or {"name": task, "classes": [names]}. A run keeps
            it as its `category`.
        skipped_summary: Which parts of the files are not among the items, and why; "" if all are.
    """

    @property
    def items(self) -> tuple[Any, ...]: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def label_schema(self) -> JsonObject: ...
    @property
    def skipped_summary(self) -> str: ...
    def __len__(self) -> int: ...
    def head(self, count: int | None) -> Self:
        """The first `count` items; all for None."""

    def part(self, which: slice) -> Self:
        """The items of a slice."""


def label_names(label_schema: Mapping[str, Json]) -> tuple[str, ...]:
    """The names in a `TaskDataset.label_schema`."""
    return tuple(map(str, label_schema.get("keypoints") or label_schema["classes"]))


def log_skipped(source: DataSource | None, data: TaskDataset | None) -> None:
    """Log a warning if parts of a dataset's files were skipped, or read differently from what they state."""
    if source and data and data.skipped_summary:
        logger.warning("%s: %s", source.annotations or source.images, data.skipped_summary)
