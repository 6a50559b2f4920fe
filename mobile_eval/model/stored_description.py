"""A model's description as JSON holds it, where that is not as `ModelDescription` has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mobile_eval.errors import HRNetError
from mobile_eval.model.network import DescribedNetwork
from mobile_eval.typed import checked


@dataclass(frozen=True)
class StoredCategory:
    """As COCO writes a category; `skeleton` is 1-based."""

    name: str
    keypoints: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...] | None = None
    sigmas: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not all(1 <= joint <= len(self.keypoints) for bone in self.skeleton or () for joint in bone):
            raise HRNetError(f"the skeleton joins others than keypoints 1 to {len(self.keypoints)}")


@dataclass(frozen=True)
class StoredStep:
    """A step of removing links, with the network's score after it where that was measured."""

    removed: tuple[str, ...]
    ratio: float
    score: float | None = None


@dataclass(frozen=True)
class StoredRemoval:
    """The steps to a pruned network, and the metric and score of the full one."""

    steps: tuple[StoredStep, ...]
    cost_unit: str
    metric: str
    full_score: float


@dataclass(frozen=True)
class StoredSource:
    """What of a description's "source" a report reads."""

    removal: StoredRemoval | None = None


@dataclass(frozen=True)
class StoredParts:
    """The entries that `ModelDescription` has as other types, or as plain data."""

    input: dict[str, Any]
    output: dict[str, Any]
    category: StoredCategory
    network: dict[str, Any]
    source: StoredSource = StoredSource()

    @classmethod
    def from_json(cls, data: Any, where: str) -> StoredParts:
        """Check these entries of a description; HRNetError, which begins with `where`, names the first that is wrong."""
        parts: StoredParts = checked(data, cls, where, extra=True)
        if {"links", "removed_links"} & set(parts.network):  # an HRNet's
            DescribedNetwork.from_json(parts.network, f"{where}, network")
        return parts
