"""Left and right in a training of keypoints: the pairs that its settings name, and data that must not be mirrored without any."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.flip_pairs import resolve_flip_pairs, unknown_pairs_message
from mobile_eval.errors import HRNetError


class MirrorSettings(Protocol):
    """Those of pose and of landmarks."""

    @property
    def flip_pairs(self) -> str: ...
    @property
    def flip_probability(self) -> float: ...


def with_flip_pairs(data: KeypointDataset, settings: MirrorSettings, category: dict[str, Any] | None = None) -> KeypointDataset:
    """The data with the pairs that the settings name, beside those of `category` (a run's) or else the data's own."""
    of_run = KeypointCategory.from_json(category) if category else data.category
    same = of_run.joints == data.category.joints and of_run.flip_pairs is not None
    known = of_run.flip_pairs if same else data.category.flip_pairs
    pairs = resolve_flip_pairs(settings.flip_pairs, known, data.category.joints)
    return dataclasses.replace(data, category=dataclasses.replace(data.category, flip_pairs=pairs))


def check_sides(data: KeypointDataset, settings: MirrorSettings, learning: bool) -> None:
    """Raise HRNetError where the data are to be mirrored and it is not known which keypoints are left and right."""
    if learning and settings.flip_probability and data.category.flip_pairs is None:
        raise HRNetError(unknown_pairs_message(data.category.joints))
