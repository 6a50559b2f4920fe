"""What data sets of classes have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from typing_extensions import Self  # in `typing` from Python 3.11 on


def check_count(count: int | None, of: str) -> None:
    """Refuse to take less than one."""
    if count is not None and count < 1:
        raise HRNetError(f"the number of {of} to take must be at least 1, got {count}")


@dataclass(frozen=True, eq=False)
class ClassData:
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
        check_count(count, "images")
        return self if count is None or count >= len(self) else self.part(slice(count))
