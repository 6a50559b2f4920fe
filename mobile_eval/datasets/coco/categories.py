"""Keypoint categories of COCO files: their joints, and the choice of one where a file has several."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.schema import CocoCategory, CocoFile, as_float, id_key
from mobile_eval.datasets.flip_pairs import Pairs, check_pairs, pairs_by_name, words_without_side
from mobile_eval.errors import HRNetError
from mobile_eval.messages import number_of
from mobile_eval.typed import Json, JsonObject, brief

Bone = tuple[int, int]
# COCO's OKS constants (cocodataset.org), and CrowdPose's for head and neck (arXiv 1812.00324), by joint name
# without its side, words joined by "_".
OKS_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089, "head": 0.079, "head_top": 0.079, "neck": 0.079,
}  # fmt: skip
MAX_LISTED = 5  # categories in a message


@dataclass(frozen=True)
class KeypointCategory:
    """The joints of a category.

    Args:
        name: Name of the category, such as "person".
        joints: Names of the joints (K,).
        skeleton: Bones as pairs of joint indices, counted from 0.
        sigmas: OKS constants of the joints (K,) in COCO's convention (0.026 for the nose); None if they are not known.
        flip_pairs: Pairs (left, right) of joint indices that swap in a mirrored image: () if the object has no sides, None if
            the pairs are not known.
    """

    name: str
    joints: tuple[str, ...]
    skeleton: tuple[Bone, ...] = ()
    sigmas: tuple[float, ...] | None = None
    flip_pairs: Pairs | None = None

    @property
    def mirrored(self) -> NDArray[np.intp]:
        """Indices (K,) that reorder joints for a mirrored image; without known pairs, each joint keeps its place."""
        order = np.arange(len(self.joints))
        for left, right in self.flip_pairs or ():
            order[[left, right]] = right, left
        return order

    def to_json(self) -> JsonObject:
        """A COCO category as plain data: skeleton counted from 1, flip pairs by name, or left out if they are not known."""
        data: JsonObject = {
            "name": self.name,
            "keypoints": list(self.joints),
            "skeleton": [[a + 1, b + 1] for a, b in self.skeleton],
            "sigmas": list(self.sigmas) if self.sigmas else None,
        }
        if self.flip_pairs is not None:
            labels = self.joints if len(set(self.joints)) == len(self.joints) else range(len(self.joints))
            data["flip_pairs"] = [[labels[a], labels[b]] for a, b in self.flip_pairs]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> KeypointCategory:
        """Read a COCO category. Without sigmas or flip pairs it gets those that its joint names imply, if any."""
        joints, where = tuple(data["keypoints"]), f"category {data['name']!r}"
        sigmas = data.get("sigmas") or [OKS_SIGMAS.get("_".join(words_without_side(joint)), 0.0) for joint in joints]
        if len(sigmas) != len(joints):
            raise HRNetError(f"{where}: {len(joints)} keypoints but {len(sigmas)} sigmas")
        pairs = data.get("flip_pairs")
        return cls(
            name=data["name"],
            joints=joints,
            skeleton=parse_skeleton(data.get("skeleton"), len(joints))[0],
            sigmas=tuple(map(float, sigmas)) if sigmas and min(sigmas) > 0 else None,
            flip_pairs=(pairs_by_name(joints) or None) if pairs is None else check_pairs(pairs, joints, f"{where}, flip_pairs"),
        )


def choose_category(file: CocoFile, category: str | None = None, expected: str | None = None) -> CocoCategory:
    """Choose the category with keypoints that is used.

    Args:
        file: The annotation file.
        category: Its name or id, as the user states it; None for the only one that has annotations.
        expected: The name of a model's category. It decides where several have annotations and `category` is None.
    """
    candidates = [candidate for candidate in file.categories if candidate.get("keypoints")]
    if not candidates:
        raise HRNetError(f"{file.source} has no category with keypoints")
    if category is not None:
        return _checked(_find(candidates, category, file.source), file.source)
    counts = _annotation_counts(file)
    used = [candidate for candidate in candidates if counts[str(candidate["id"])]] or candidates
    matching = used if len(used) == 1 else [candidate for candidate in used if candidate["name"] == expected]
    if len(matching) != 1:
        listed = ", ".join(f"{_label(each)}: {number_of(counts[str(each['id'])], 'annotations')}" for each in used)
        raise HRNetError(f"{file.source} has several categories with keypoints ({listed}); choose one with `category`")
    return _checked(matching[0], file.source)


def _find(candidates: Sequence[CocoCategory], category: str, source: str) -> CocoCategory:
    matching = [candidate for candidate in candidates if candidate["name"] == category]
    matching = matching or [candidate for candidate in candidates if str(candidate["id"]) == category]
    if len(matching) == 1:
        return matching[0]
    problem = f"{len(matching)} categories are" if matching else "no category with keypoints is"
    known = ", ".join(map(_label, candidates))
    raise HRNetError(f"{source}: {problem} named {category!r}; set `category` to the name or id of one of {known}")


def _label(category: CocoCategory) -> str:
    return f"{category['name']!r} (id {category['id']})"


def _checked(category: CocoCategory, source: str) -> CocoCategory:
    """The category; HRNetError if its keypoints or sigmas have the wrong type."""
    where, joints, sigmas = f"{source}, category {category['name']!r}", category["keypoints"], category.get("sigmas")
    if not isinstance(joints, list) or not all(isinstance(joint, str) for joint in joints):
        raise HRNetError(f"{where}: its keypoints must be a list of names, got {brief(joints)}")
    if sigmas:
        numbers = list(map(as_float, sigmas)) if isinstance(sigmas, list) else [None]
        if not all(sigma is not None and 0 <= sigma < math.inf for sigma in numbers):
            raise HRNetError(f"{where}: its sigmas must be a list of numbers above 0, got {brief(sigmas)}")
    return category


def _annotation_counts(file: CocoFile) -> Counter[str | None]:
    """The number of annotations of each category, by `id_key`."""
    return Counter(id_key(entry.get("category_id")) for entry in file.annotations if isinstance(entry, dict))


def choice_remark(file: CocoFile, chosen: CocoCategory) -> str:
    """The used and the unused categories, with their numbers of annotations; "" if there was no choice."""
    counts = _annotation_counts(file)
    unused = [each for each in file.categories if each is not chosen and (each.get("keypoints") or counts[str(each["id"])])]
    if not unused:
        return ""
    listed = [f"{each['name']!r} with {number_of(counts[str(each['id'])], 'annotations')}" for each in unused]
    more = ", ..." if len(listed) > MAX_LISTED else ""
    return f"category {chosen['name']!r} is used, not {', '.join(listed[:MAX_LISTED])}{more}"


def parse_skeleton(skeleton: object, joints: int) -> tuple[tuple[Bone, ...], str]:
    """Read the skeleton of a category.

    COCO counts joints from 1. A skeleton that contains joint 0 counts from 0. Pairs of unknown joints are skipped.

    Args:
        skeleton: The skeleton as JSON holds it.
        joints: Number of joints of the category.

    Returns:
        Pairs of joint indices, counted from 0, and a remark on what differs from COCO's format ("" if nothing does).
    """
    entries = skeleton if isinstance(skeleton, list | tuple) else []
    pairs = [(int(a), int(b)) for a, b in (pair for pair in entries if _is_pair(pair))]
    first = 0 if any(0 in pair for pair in pairs) else 1
    bones = tuple((a - first, b - first) for a, b in pairs if first <= min(a, b) and max(a, b) < joints + first)
    remarks = ["the skeleton contains keypoint 0, so it counts from 0"] if first == 0 else []
    skipped = len(entries) - len(bones) if entries or not skeleton else 1
    remarks += [f"{number_of(skipped, 'pairs')} of unknown keypoints skipped in the skeleton"] if skipped else []
    return bones, "; ".join(remarks)


def _is_pair(pair: object) -> bool:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return False
    return all((value := as_float(entry)) is not None and value.is_integer() for entry in pair)
