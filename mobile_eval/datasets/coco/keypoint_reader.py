"""The people that a COCO keypoint file labels, and what of its annotations COCO's own evaluation is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.invalid_labels import InvalidLabels, how_many
from mobile_eval.datasets.coco.schema import (
    CocoFile,
    as_annotation,
    box_in,
    is_crowd,
    is_of_crowd,
    key_of,
    keypoints_in,
    number,
    usable_area,
)
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import checked_box

HEAD_BOX = "bbox_head"
VISIBLE = 2  # after x and y
Box = tuple[float, float, float, float]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledInstance:
    """An annotation as COCO's evaluation takes it, its image's entry, and its box, keypoints (K, 3) and head box."""

    entry: dict[str, Any]
    image: dict[str, Any]
    places: tuple[Box, Array, Box | None]


class KeypointReader:
    """Reads the annotations of one category, and counts what is left out of them.

    Args:
        file: The annotation file.
        category: The category's entry in it.
        joints: Names of its joints (K,).
        margin: Pixels that a joint may lie outside its image.
        strict: Refuse the file at the first bad label.
    """

    def __init__(self, file: CocoFile, category: dict[str, Any], joints: Sequence[str], margin: float, *, strict: bool):
        self.file = file
        self.category = category
        self.joints = joints
        self.margin = margin
        self.kept: list[dict[str, Any]] = []  # for COCO's evaluation
        self.bad = InvalidLabels(file.source, "annotations", "left out", strict=strict)
        self.bad_joints = InvalidLabels(file.source, "labelled joints", "taken as not labelled", strict=strict)
        self.bad_heads = InvalidLabels(file.source, "head boxes", "left out", strict=strict)
        self._others = {str(one["id"]) for one in file.categories} - {str(category["id"])}
        self._crowds = self._unlabelled = self._areas = self._counts = 0

    def labelled(self) -> Iterator[LabelledInstance]:
        """The people with labelled joints, in the file's order. Raises HRNetError where too many labels are bad."""
        for place, entry in enumerate(self.file.annotations, 1):
            if isinstance(entry, dict) and key_of(entry.get("category_id")) in self._others:
                continue
            if is_of_crowd(entry):
                self._crowds += 1
                self._keep_unlabelled(entry, place)
                continue
            self.bad.total += 1
            try:
                read = self._read(entry, place)
            except HRNetError as error:
                self.bad.add(str(error))
                continue
            instance = self._instance(*read, place) if read else None
            if instance:
                yield instance
            else:
                self._unlabelled += 1
        for labels in (self.bad, self.bad_joints, self.bad_heads):
            labels.check()

    def remarks(self) -> tuple[str, ...]:
        """What was left out, and what was taken otherwise than the file says."""
        reasons = [f"{self._crowds:,} of crowds"] if self._crowds else []
        reasons += [f"{self._unlabelled:,} without a labelled joint"] if self._unlabelled else []
        return (
            f"{how_many(self._crowds + self._unlabelled, 'annotation')} left out: {', '.join(reasons)}" if reasons else "",
            self.bad.remark(),
            self.bad_joints.remark(),
            self.bad_heads.remark(),
            f"the area of {how_many(self._areas, 'annotation')} is not above 0: taken as 0.53 of the box" if self._areas else "",
            f"num_keypoints of {how_many(self._counts, 'annotation')} is not that of labelled joints: counted"
            if self._counts
            else "",
        )

    def _read(self, entry: Any, place: int) -> tuple[str, dict[str, Any], dict[str, Any], Array, Box] | None:
        """What to call an annotation, itself, its image, keypoints (K, 3) and box; None where no joint is labelled."""
        annotation, where = as_annotation(entry, place)
        has_category = "category_id" in annotation or self._others  # the only one need not be named
        if has_category and key_of(annotation.get("category_id")) != str(self.category["id"]):
            raise HRNetError(f"{where}: category_id {brief(annotation.get('category_id'))} is none of the file's categories")
        is_crowd(annotation, where)
        image = self.file.image_of(annotation, where)
        where = f"{where} ({image['file_name']})"
        keypoints = keypoints_in(image, annotation, len(self.joints), where)
        if not is_labelled(keypoints).any():
            self._keep_unlabelled(annotation, place)
            return None
        return where, annotation, image, keypoints, box_in(image, annotation, where)

    def _instance(
        self, where: str, annotation: dict[str, Any], image: dict[str, Any], found: Array, box: Box, place: int
    ) -> LabelledInstance | None:
        """The instance of an annotation, whose bad labels are counted; None where none of the joints is left."""
        bad, said = self._is_bad(found, image), int(is_labelled(found).sum())
        self.bad_joints.total += said
        for joint in np.flatnonzero(bad).tolist():
            self.bad_joints.add(f"{where}: {self._why_bad(joint, found[joint], image)}")
        head = self._head_box(annotation, where)
        self._areas += annotation.get("area") is not None and not usable_area(annotation["area"])
        self._counts += annotation.get("num_keypoints") is not None and number(annotation["num_keypoints"]) != said
        keypoints = _without(found, bad)
        entry = self._keep({**annotation, HEAD_BOX: head}, image, keypoints, place)
        return LabelledInstance(entry, image, (box, keypoints, head)) if entry["num_keypoints"] else None

    def _keep_unlabelled(self, annotation: dict[str, Any], place: int) -> None:
        """Keep a crowd or an instance without labelled joints, around which predictions are ignored, if it can be used."""
        try:
            image = self.file.image_of(annotation, "")
            keypoints = keypoints_in(image, annotation, len(self.joints), "")
            box_in(image, annotation, "")
        except HRNetError:
            return
        self._keep(annotation, image, _without(keypoints, self._is_bad(keypoints, image)), place)

    def _keep(self, annotation: dict[str, Any], image: dict[str, Any], keypoints: Array, place: int) -> dict[str, Any]:
        area = annotation.get("area")
        own = {
            "id": place,
            "image_id": image["id"],
            "category_id": self.category["id"],
            "iscrowd": int(is_of_crowd(annotation)),
            "area": area if usable_area(area) else None,
            "keypoints": keypoints.reshape(-1).tolist(),
            "num_keypoints": int((keypoints[:, VISIBLE] > 0).sum()),
        }
        self.kept.append({**annotation, **own})
        return self.kept[-1]

    def _is_bad(self, keypoints: Array, image: dict[str, Any]) -> NDArray[np.bool_]:
        """Which joints (K,) are labelled, but not in the image."""
        x, y, visible = keypoints.T
        low, right, bottom = -self.margin, image["width"] + self.margin, image["height"] + self.margin
        inside = (x >= low) & (x <= right) & (y >= low) & (y <= bottom) & np.isfinite(visible)  # False where one is NaN
        return np.asarray(is_labelled(keypoints) & ~inside)

    def _why_bad(self, joint: int, keypoint: Array, image: dict[str, Any]) -> str:
        x, y, visible = keypoint
        name = self.joints[joint]
        if not np.isfinite(visible):
            return f"the visibility of {name} is {visible:g}"
        return (
            f"{name} at ({x:g}, {y:g}) lies outside the {image['width']}x{image['height']} image; "
            "set its visibility to 0 or correct it"
        )

    def _head_box(self, annotation: dict[str, Any], where: str) -> Box | None:
        if not annotation.get(HEAD_BOX):
            return None
        self.bad_heads.total += 1
        try:
            return checked_box(annotation[HEAD_BOX], f"{where}, {HEAD_BOX}")
        except HRNetError as error:
            self.bad_heads.add(str(error))
            return None


def is_labelled(keypoints: Array) -> NDArray[np.bool_]:
    """Which of keypoints (K, 3) are labelled: those of a visibility above 0, and those with a place whose visibility is NaN."""
    x, y, visible = keypoints.T
    return np.asarray((visible > 0) | (np.isnan(visible) & np.isfinite(x) & np.isfinite(y)))


def _without(keypoints: Array, bad: NDArray[np.bool_]) -> Array:
    """Keypoints (K, 3) of which the bad ones (K,) and those without a place are [0, 0, 0]."""
    cleaned = np.where((bad | ~np.isfinite(keypoints).all(axis=1))[:, None], 0.0, keypoints)
    cleaned[:, VISIBLE] = np.maximum(cleaned[:, VISIBLE], 0)
    return cleaned
