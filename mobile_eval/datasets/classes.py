"""What data sets of classes have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mobile_eval.errors import HRNetError
from mobile_eval.files import parse_json, read_bytes
from mobile_eval.metrics.confusion import IGNORED

if TYPE_CHECKING:
    from typing_extensions import Self  # in `typing` from Python 3.11 on


def check_limit(count: int | None, of: str) -> None:
    """Refuse to take less than one."""
    if count is not None and count < 1:
        raise HRNetError(f"the number of {of} to take must be at least 1, got {count}")


BESIDE = "classes.json"
CITYSCAPES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain", "sky",
    "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ClassDataset:
    """The images of a data set, and the names of its classes."""

    task: ClassVar[str]
    images: tuple[Any, ...]
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def items(self) -> tuple[Any, ...]:
        """The images."""
        return self.images

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes

    @property
    def label_schema(self) -> dict[str, Any]:
        """The classes as plain data."""
        return {"name": self.task, "classes": list(self.classes)}

    @property
    def skipped_summary(self) -> str:
        """Nothing is."""
        return ""

    def part(self, which: slice) -> Self:
        """The images of a slice."""
        return replace(self, images=self.images[which])

    def head(self, count: int | None) -> Self:
        """The first `count` images; all for None."""
        check_limit(count, "images")
        return self if count is None or count >= len(self) else self.part(slice(count))


def read_class_names(path: Path) -> tuple[str, ...]:
    """The names in a file, in the order of the classes' indices: a JSON list of them, or one a line."""
    text = read_bytes(path, "file of classes").decode("utf-8", "replace")
    if path.suffix == ".json":
        names = parse_json(text, str(path))
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise HRNetError(f"{path} must hold a list of the classes' names")
    if len(set(names)) < len(names):
        raise HRNetError(f"{path} names a class twice: {next(name for name in names if names.count(name) > 1)}")
    return tuple(names)


def class_names_beside(masks: Path) -> tuple[str, ...] | None:
    """The names in a `classes.json` in the folder of masks, or in one of the two folders above it; None where there is none."""
    found = next((folder / BESIDE for folder in (masks, *masks.absolute().parents[:2]) if (folder / BESIDE).is_file()), None)
    return read_class_names(found) if found else None


def numbered_classes(masks: Iterable[np.ndarray]) -> tuple[str, ...]:
    """class_0, class_1, ... up to the largest index in any of the masks."""
    largest = max((int(mask[mask != IGNORED].max(initial=0)) for mask in masks), default=0)
    return tuple(f"class_{index}" for index in range(largest + 1))
