"""Categories with keypoints in COCO files: which one is used, its skeleton, and its sigmas."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.invalid_labels import how_many
from mobile_eval.datasets.coco.schema import CocoFile, key_of, number
from mobile_eval.datasets.flip_pairs import Pairs, check_pairs, pairs_by_name, words_without_side
from mobile_eval.errors import HRNetError

Bone = tuple[int, int]
# COCO's OKS constants (cocodataset.org), and CrowdPose's for head and neck (arXiv 1812.00324), by joint name
# without its side, words joined by "_".
OKS_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089, "head": 0.079, "head_top": 0.079, "neck": 0.079,
}  # fmt: skip
NAMED = 5  # categories in a message


@dataclass(frozen=True)
class KeypointCategory:
    """What the joints of a category are: names, bones (0-based pairs), OKS sigmas (or none) and left/right pairs.

    `flip_pairs` (left, right) change places in a mirrored image: () where the object has no sides, None where it is not known.
    """

    name: str
    joints: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...] = ()
    sigmas: tuple[float, ...] | None = None
    flip_pairs: Pairs | None = None

    @property
    def mirrored(self) -> NDArray[np.intp]:
        """Index (K,) that reorders joints into those of the mirrored image; each stays where no pairs are known."""
        order = np.arange(len(self.joints))
        for left, right in self.flip_pairs or ():
            order[[left, right]] = right, left
        return order

    def to_json(self) -> dict[str, Any]:
        """Plain data, as COCO writes a category (skeleton 1-based); flip pairs by name, and none where they are not known."""
        skeleton = [[a + 1, b + 1] for a, b in self.skeleton]
        data: dict[str, Any] = {
            "name": self.name,
            "keypoints": list(self.joints),
            "skeleton": skeleton,
            "sigmas": list(self.sigmas) if self.sigmas else None,
        }
        if self.flip_pairs is not None:
            labels = self.joints if len(set(self.joints)) == len(self.joints) else range(len(self.joints))
            data["flip_pairs"] = [[labels[a], labels[b]] for a, b in self.flip_pairs]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> KeypointCategory:
        """From a COCO category; sigmas and flip pairs from the category, else by joint name, else none."""
        joints = tuple(data["keypoints"])
        sigmas = data.get("sigmas") or [OKS_SIGMAS.get("_".join(words_without_side(joint)), 0.0) for joint in joints]
        if len(sigmas) != len(joints):
            raise HRNetError(f"category {data['name']!r}: {len(joints)} keypoints but {len(sigmas)} sigmas")
        stated = data.get("flip_pairs")
        return cls(
            name=data["name"],
            joints=joints,
            skeleton=bones(data.get("skeleton"), len(joints))[0],
            sigmas=tuple(map(float, sigmas)) if sigmas and min(sigmas) > 0 else None,
            flip_pairs=pairs_by_name(joints) or None
            if stated is None
            else check_pairs(stated, joints, f"category {data['name']!r}, flip_pairs"),
        )


def choose_category(file: CocoFile, category: str | None = None, expected: str | None = None) -> dict[str, Any]:
    """The category with keypoints that is used of a file.

    Args:
        file: The annotation file.
        category: Its name or id, as the user gives it; None for the only one that has annotations.
        expected: The name of a model's category, which decides where several have annotations and `category` is None.
    """
    candidates = [one for one in file.categories if one.get("keypoints")]
    if not candidates:
        raise HRNetError(f"{file.source} has no category with keypoints")
    if category is not None:
        return _checked(_named(candidates, category, file.source), file.source)
    counts = counted(file)
    used = [one for one in candidates if counts[str(one["id"])]] or candidates
    named = [one for one in used if one["name"] == expected]
    if len(used) > 1 and len(named) != 1:
        several = ", ".join(f"{_called(one)}: {how_many(counts[str(one['id'])], 'annotation')}" for one in used)
        raise HRNetError(f"{file.source} has several categories with keypoints ({several}); choose one with `category`")
    return _checked(used[0] if len(used) == 1 else named[0], file.source)


def _named(candidates: Sequence[dict[str, Any]], category: str, source: str) -> dict[str, Any]:
    for key in ("name", "id"):
        named = [one for one in candidates if str(one[key]) == category]
        if len(named) == 1:
            return named[0]
        if named:
            break
    known = ", ".join(map(_called, candidates))
    many = f"{len(named)} categories are" if named else "no category with keypoints is"
    raise HRNetError(f"{source}: {many} named {category!r}; give `category` the name or id of one of {known}")


def _called(category: dict[str, Any]) -> str:
    return f"{category['name']!r} (id {category['id']})"


def _checked(category: dict[str, Any], source: str) -> dict[str, Any]:
    """The category, if its keypoints and sigmas are what they should be."""
    where, joints, sigmas = f"{source}, category {category['name']!r}", category["keypoints"], category.get("sigmas")
    if not isinstance(joints, list) or not all(isinstance(joint, str) for joint in joints):
        raise HRNetError(f"{where}: its keypoints must be a list of names, got {brief(joints)}")
    if sigmas:
        numbers = list(map(number, sigmas)) if isinstance(sigmas, list) else [None]
        if not all(sigma is not None and 0 <= sigma < math.inf for sigma in numbers):
            raise HRNetError(f"{where}: its sigmas must be a list of numbers above 0, got {brief(sigmas)}")
    return category


def counted(file: CocoFile) -> Counter[str | None]:
    """How many annotations there are of each category, by the key of its id."""
    return Counter(key_of(one.get("category_id")) for one in file.annotations if isinstance(one, dict))


def choice_remark(file: CocoFile, chosen: dict[str, Any]) -> str:
    """Which category is used and how many annotations of others are not; "" where there is nothing to choose from."""
    counts = counted(file)
    others = [one for one in file.categories if one is not chosen and (one.get("keypoints") or counts[str(one["id"])])]
    if not others:
        return ""
    listed = [f"{one['name']!r} with {how_many(counts[str(one['id'])], 'annotation')}" for one in others]
    return f"category {chosen['name']!r} is used, not {', '.join(listed[:NAMED])}{', ...' if len(listed) > NAMED else ''}"


def bones(skeleton: Any, joints: int) -> tuple[tuple[Bone, ...], str]:
    """A skeleton's pairs of joints, counted from 0, and a remark where the file's are not COCO's pairs, which count from 1.

    A skeleton that names joint 0 is counted from 0; pairs that name no joints of the category are left out.
    """
    entries = skeleton if isinstance(skeleton, list | tuple) else []
    pairs = [(int(a), int(b)) for a, b in (pair for pair in entries if _is_pair(pair))]
    first = 0 if any(0 in pair for pair in pairs) else 1
    known = tuple((a - first, b - first) for a, b in pairs if first <= min(a, b) and max(a, b) < joints + first)
    remarks = ["the skeleton names keypoint 0 and is taken to count from 0"] if first == 0 else []
    left_out = len(entries) - len(known) if entries or not skeleton else 1
    remarks += [f"{how_many(left_out, 'pair')} of the skeleton left out: unknown keypoints"] if left_out else []
    return known, "; ".join(remarks)


def _is_pair(pair: Any) -> bool:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return False
    return all((value := number(one)) is not None and value.is_integer() for one in pair)
