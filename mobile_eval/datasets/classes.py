"""Datasets whose labels are classes, and files of class names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import parse_json, read_bytes
from mobile_eval.metrics.confusion import IGNORED
from mobile_eval.typed import JsonObject

if TYPE_CHECKING:
    from typing_extensions import Self  # in `typing` from Python 3.11 on

Item = TypeVar("Item")

CLASSES_FILE = "classes.json"
CITYSCAPES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain", "sky",
    "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ClassDataset(Generic[Item]):
    """A dataset whose labels are classes; the base of the classification, segmentation and detection datasets.

    Args:
        images: The images with their labels.
        classes: Names of the classes, by index.
    """

    task: ClassVar[str]
    images: tuple[Item, ...]
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def items(self) -> tuple[Item, ...]:
        """The images."""
        return self.images

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.classes

    @property
    def label_schema(self) -> JsonObject:
        """The classes as plain data."""
        return {"name": self.task, "classes": list(self.classes)}

    @property
    def skipped_summary(self) -> str:
        """What was skipped in the files of the dataset; "" if nothing was."""
        return ""

    def part(self, which: slice) -> Self:
        """The images of a slice."""
        return replace(self, images=self.images[which])

    def head(self, count: int | None) -> Self:
        """The first `count` images; all for None."""
        check_limit(count, "images")
        return self if count is None or count >= len(self) else self.part(slice(count))


def check_limit(count: int | None, noun: str) -> None:
    """Raise HRNetError if a number of items is less than 1.

    Args:
        count: The number; None for all.
        noun: What the items are, for the message.
    """
    if count is not None and count < 1:
        raise HRNetError(f"the number of {noun} to use must be at least 1, got {count}")


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read class names in the order of their indices: a JSON list, or one name per line."""
    text = read_bytes(path, "file of classes").decode("utf-8", "replace")
    if path.suffix == ".json":
        names = parse_json(text, str(path))
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise HRNetError(f"{path} must hold a list of class names")
    if len(set(names)) < len(names):
        raise HRNetError(f"{path} has a class name twice: {next(name for name in names if names.count(name) > 1)}")
    return tuple(names)


def find_class_names(masks: Path) -> tuple[str, ...] | None:
    """The names in a `classes.json` in the folder of masks or the two folders above it; None if there is no such file."""
    folders = masks, *masks.absolute().parents[:2]
    path = next((folder / CLASSES_FILE for folder in folders if (folder / CLASSES_FILE).is_file()), None)
    return read_class_names(path) if path else None


def numbered_classes(masks: Iterable[NDArray[np.uint8]]) -> tuple[str, ...]:
    """Names class_0, class_1, ... up to the largest index in the masks."""
    largest = max((int(mask[mask != IGNORED].max(initial=0)) for mask in masks), default=0)
    return tuple(f"class_{index}" for index in range(largest + 1))
