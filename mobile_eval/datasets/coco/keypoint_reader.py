"""Reads the annotations of one keypoint category, for inference and for COCO's evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.invalid_labels import InvalidLabels
from mobile_eval.datasets.coco.schema import (
    Box,
    CocoAnnotation,
    CocoCategory,
    CocoFile,
    CocoImage,
    Entry,
    as_annotation,
    as_float,
    check_iscrowd,
    id_key,
    is_crowd,
    read_box,
    read_keypoints,
    valid_area,
)
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import checked_box
from mobile_eval.messages import number_of
from mobile_eval.typed import brief

HEAD_BOX = "bbox_head"  # PoseTrack's name
VISIBILITY = 2  # column of keypoints, after x and y
Array = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledInstance:
    """An instance with at least one labelled keypoint.

    Args:
        entry: The annotation as COCO's evaluation takes it.
        image: The entry of its image.
        box: The box (x, y, width, height) in pixels.
        keypoints: Keypoints (K, 3) as x, y, visibility.
        head_box: The box of the head, if it is annotated.
    """

    entry: CocoAnnotation
    image: CocoImage
    box: Box
    keypoints: Array
    head_box: Box | None


@dataclass(frozen=True)
class _Annotation:
    annotation: Entry
    image: CocoImage
    keypoints: Array
    box: Box | None  # None if no joint is labelled: then it need not be valid
    where: str  # name of the annotation in messages


class KeypointReader:
    """Reads the annotations of one category and counts those that are skipped.

    Args:
        file: The annotation file.
        category: The category's entry in the file.
        joints: Names of its joints (K,).
        margin: How far a joint may lie outside its image, in pixels.
        strict: Refuse the file at the first invalid label.
    """

    def __init__(self, file: CocoFile, category: CocoCategory, joints: Sequence[str], margin: float, *, strict: bool):
        self.file = file
        self.category = category
        self.joints = joints
        self.margin = margin
        self.entries: list[CocoAnnotation] = []  # for COCO's evaluation
        self.annotations = InvalidLabels(file.source, "annotations", "skipped", strict=strict)
        self.keypoints = InvalidLabels(file.source, "labelled keypoints", "treated as unlabelled", strict=strict)
        self.head_boxes = InvalidLabels(file.source, "head boxes", "skipped", strict=strict)
        self._unused_categories = {str(each["id"]) for each in file.categories} - {str(category["id"])}
        self._crowds = self._unlabelled = self._invalid_areas = self._invalid_counts = 0

    @property
    def invalid(self) -> tuple[InvalidLabels, ...]:
        """The invalid labels of each kind."""
        return self.annotations, self.keypoints, self.head_boxes

    def instances(self) -> Iterator[LabelledInstance]:
        """The instances with labelled keypoints, in the order of the file; HRNetError if too many labels are invalid."""
        for place, entry in enumerate(self.file.annotations, 1):
            if isinstance(entry, dict) and id_key(entry.get("category_id")) in self._unused_categories:
                continue
            if is_crowd(entry):
                self._crowds += 1
                self._keep_unlabelled(cast(Entry, entry), place)
                continue
            self.annotations.total += 1
            try:
                parsed = self._parse(entry, place)
            except HRNetError as error:
                self.annotations.add(str(error))
                continue
            instance = self._instance(parsed, place)
            if instance:
                yield instance
            else:
                self._unlabelled += 1
        for labels in self.invalid:
            labels.check()

    def remarks(self) -> tuple[str, ...]:
        """What was skipped, and what was changed; "" for each kind that did not occur."""
        reasons = [f"{self._crowds:,} of crowds"] if self._crowds else []
        reasons += [f"{self._unlabelled:,} without labelled keypoints"] if self._unlabelled else []
        skipped = number_of(self._crowds + self._unlabelled, "annotations")
        areas, counts = number_of(self._invalid_areas, "annotations"), number_of(self._invalid_counts, "annotations")
        return (
            f"{skipped} skipped: {', '.join(reasons)}" if reasons else "",
            self.annotations.summary(),
            self.keypoints.summary(),
            self.head_boxes.summary(),
            f"the area of {areas} is not above 0: 0.53 of the box is used" if self._invalid_areas else "",
            f"num_keypoints of {counts} is wrong: the labelled keypoints are counted" if self._invalid_counts else "",
        )

    def _parse(self, entry: object, place: int) -> _Annotation:
        """Check an annotation; HRNetError if it is invalid."""
        annotation, where = as_annotation(entry, place)
        category_id = annotation.get("category_id")
        is_stated = "category_id" in annotation or self._unused_categories  # the only category may be left out
        if is_stated and id_key(category_id) != str(self.category["id"]):
            raise HRNetError(f"{where}: category_id {brief(category_id)} is not among the file's categories")
        check_iscrowd(annotation, where)
        image = self.file.image_of(annotation, where)
        where = f"{where} ({image['file_name']})"
        keypoints = read_keypoints(annotation, image, len(self.joints), where)
        box = read_box(annotation, image, where) if is_labelled(keypoints).any() else None
        return _Annotation(annotation, image, keypoints, box, where)

    def _instance(self, parsed: _Annotation, place: int) -> LabelledInstance | None:
        """The instance of an annotation; None if no joint is labelled, or no label is valid."""
        annotation, image, where = parsed.annotation, parsed.image, parsed.where
        if parsed.box is None:
            self._keep_unlabelled(annotation, place)
            return None
        self._count_unusual(annotation, parsed.keypoints)
        keypoints = self._without_invalid(parsed.keypoints, image, where)
        head_box = self._head_box(annotation, where)
        entry = self._keep({**annotation, HEAD_BOX: head_box}, image, keypoints, place)
        return LabelledInstance(entry, image, parsed.box, keypoints, head_box) if entry["num_keypoints"] else None

    def _count_unusual(self, annotation: Entry, keypoints: Array) -> None:
        area, count = annotation.get("area"), annotation.get("num_keypoints")
        labelled = int(is_labelled(keypoints).sum())
        self.keypoints.total += labelled
        self._invalid_areas += area is not None and valid_area(area) is None
        self._invalid_counts += count is not None and as_float(count) != labelled

    def _without_invalid(self, keypoints: Array, image: CocoImage, where: str) -> Array:
        """The keypoints (K, 3) with invalid labels counted and removed."""
        invalid = self._is_invalid(keypoints, image)
        for joint in np.flatnonzero(invalid).tolist():
            self.keypoints.add(f"{where}: {self._problem(joint, keypoints[joint], image)}")
        return _unlabel(keypoints, invalid)

    def _keep_unlabelled(self, annotation: Entry, place: int) -> None:
        """Keep a crowd or an instance without labelled keypoints, if it is valid: COCO ignores predictions near its box."""
        try:
            image = self.file.image_of(annotation, "")
            keypoints = read_keypoints(annotation, image, len(self.joints), "")
            read_box(annotation, image, "")
        except HRNetError:
            return
        self._keep(annotation, image, _unlabel(keypoints, self._is_invalid(keypoints, image)), place)

    def _keep(self, annotation: Entry, image: CocoImage, keypoints: Array, place: int) -> CocoAnnotation:
        checked = {
            "id": place,
            "image_id": image["id"],
            "category_id": self.category["id"],
            "iscrowd": int(is_crowd(annotation)),
            "area": valid_area(annotation.get("area")),
            "keypoints": keypoints.reshape(-1).tolist(),
            "num_keypoints": int((keypoints[:, VISIBILITY] > 0).sum()),
        }
        self.entries.append(cast(CocoAnnotation, {**annotation, **checked}))
        return self.entries[-1]

    def _is_invalid(self, keypoints: Array, image: CocoImage) -> NDArray[np.bool_]:
        """Which joints (K,) are labelled, but not inside the image."""
        x, y, visibility = keypoints.T
        low, right, bottom = -self.margin, image["width"] + self.margin, image["height"] + self.margin
        inside = (x >= low) & (x <= right) & (y >= low) & (y <= bottom) & np.isfinite(visibility)  # False for NaN
        return np.asarray(is_labelled(keypoints) & ~inside)

    def _problem(self, joint: int, keypoint: Array, image: CocoImage) -> str:
        x, y, visibility = keypoint
        name = self.joints[joint]
        if not np.isfinite(visibility):
            return f"the visibility of {name} is {visibility:g}"
        size = f"{image['width']}x{image['height']}"
        return f"{name} at ({x:g}, {y:g}) lies outside the {size} image; set its visibility to 0 or correct it"

    def _head_box(self, annotation: Entry, where: str) -> Box | None:
        if not annotation.get(HEAD_BOX):
            return None
        self.head_boxes.total += 1
        try:
            return checked_box(annotation[HEAD_BOX], f"{where}, {HEAD_BOX}")
        except HRNetError as error:
            self.head_boxes.add(str(error))
            return None


def is_labelled(keypoints: Array) -> NDArray[np.bool_]:
    """Which of keypoints (K, 3) are labelled: those with visibility above 0, or with a position and visibility NaN."""
    x, y, visibility = keypoints.T
    return np.asarray((visibility > 0) | (np.isnan(visibility) & np.isfinite(x) & np.isfinite(y)))


def _unlabel(keypoints: Array, invalid: NDArray[np.bool_]) -> Array:
    """Keypoints (K, 3) with [0, 0, 0] for invalid ones (K,) and for those without a finite position."""
    cleaned = np.where((invalid | ~np.isfinite(keypoints).all(axis=1))[:, None], 0.0, keypoints)
    cleaned[:, VISIBILITY] = np.maximum(cleaned[:, VISIBILITY], 0)
    return cleaned
