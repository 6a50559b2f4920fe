"""Keypoint data sets in COCO's format, of any category and number of joints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.categories import KeypointCategory, bones, choice_remark, choose_category
from mobile_eval.datasets.coco.keypoint_reader import KeypointReader
from mobile_eval.datasets.coco.schema import Id, checked_coco
from mobile_eval.datasets.coordinate_frame import ALL_UPRIGHT, CoordinateFrame, find_frame
from mobile_eval.datasets.face_lists import faces_as_coco, is_of_faces
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json

MARGIN_PX = 2.0  # rounding and hand-made labels put joints a little over the border


@dataclass(frozen=True)
class KeypointInstance:
    """One annotated instance: its box (x, y, width, height) and keypoints (K, 3) as x, y, visibility in image pixels.

    `annotation_id` counts the annotations of the file from 1, whatever ids they have there. `image_size` is (height, width) as
    the annotation file gives it, if it does; `head_box` is the head's, where the annotation has one (as "bbox_head", PoseTrack's
    name for it). `upright` is whether annotations are of the image as EXIF turns it, or else as it is stored.
    """

    annotation_id: int
    image_id: Id
    image_path: Path
    image_size: tuple[int, int] | None
    box: tuple[float, float, float, float]
    keypoints: NDArray[np.float64]
    head_box: tuple[float, float, float, float] | None = None
    upright: bool = True


@dataclass(frozen=True)
class KeypointDataset:
    """The labelled instances of an annotation file, how its images are read, and its content for COCO's own evaluation.

    `coco` holds the annotations of this category alone, numbered from 1. `image_folder` is the folder that file names are
    in. `remarks` say what of the file is left out or taken otherwise than it says.
    """

    category: KeypointCategory
    instances: tuple[KeypointInstance, ...]
    coco: dict[str, Any]
    image_folder: Path
    remarks: tuple[str, ...] = ()
    frame: CoordinateFrame = ALL_UPRIGHT

    def __len__(self) -> int:
        return len(self.instances)

    @property
    def items(self) -> tuple[KeypointInstance, ...]:
        """The instances."""
        return self.instances

    @property
    def names(self) -> tuple[str, ...]:
        """The joints."""
        return self.category.joints

    @property
    def label_schema(self) -> dict[str, Any]:
        """The category as plain data."""
        return self.category.to_json()

    @property
    def category_id(self) -> Id:
        """The id that the annotation file gives to the category."""
        own: Id = self.coco["categories"][0]["id"]
        return own

    @property
    def skipped_summary(self) -> str:
        """What of the file is left out or taken otherwise than it says."""
        return "; ".join(self.remarks)

    def head(self, count: int | None) -> KeypointDataset:
        """The first `count` instances, annotations to match; all for None."""
        if count is not None and count < 1:
            raise HRNetError(f"the number of instances to take must be at least 1, got {count}")
        return self if count is None or count >= len(self.instances) else self.part(slice(count))

    def part(self, which: slice) -> KeypointDataset:
        """The instances of a slice, annotations to match."""
        instances = self.instances[which]
        kept = {instance.annotation_id for instance in instances}
        images = {instance.image_id for instance in instances}
        coco = {
            **self.coco,
            "images": [image for image in self.coco["images"] if image["id"] in images],
            "annotations": [a for a in self.coco["annotations"] if a["id"] in kept],
        }
        return replace(self, instances=instances, coco=coco)


def load_keypoint_dataset(
    annotations: Path | str,
    images: Path | str,
    *,
    category: str | None = None,
    strict: bool = False,
    expected: str | None = None,
    exif: str | None = None,
) -> KeypointDataset:
    """Read a COCO keypoint file, or a face dataset in its own format; skip crowds and instances without a labelled joint.

    Labelled keypoints outside their image or without a place count as not labelled, and annotations without keypoints or
    without a box in their image are left out, as long as these are no more than 1 % of the file's. Of lists of faces
    (`faces_as_coco`) landmarks may lie outside, as those of faces at the border do.

    Args:
        annotations: The file, or the folder of .pts files.
        images: The folder that it names images in.
        category: Name or id of the category to take, where several have keypoints and annotations.
        strict: Refuse the file at the first bad label.
        expected: Name of the category to take where several have annotations and `category` is None: that of a model.
        exif: How images are annotated that EXIF turns, one of `coordinate_frame.FRAMES`; None leaves it to the sizes in the file.

    Raises:
        HRNetError: The file is empty or of another kind, an image is missing, or there are too many bad labels; it names the
            file and the first bad annotation.
    """
    of_faces = is_of_faces(annotations)
    if of_faces:
        content, frame = faces_as_coco(annotations, images, exif)
    else:
        content, frame = read_json(annotations, "annotation file"), None
    file = checked_coco(content, str(annotations), "a COCO keypoint file")
    chosen = choose_category(file, category, expected)
    known = KeypointCategory.from_json(chosen)
    reader = KeypointReader(file, chosen, known.joints, math.inf if of_faces else MARGIN_PX, strict=strict)
    instances = tuple(
        KeypointInstance(one.entry["id"], one.image["id"], Path(images) / one.image["file_name"], _size(one.image), *one.places)
        for one in reader.labelled()
    )
    if not instances:
        raise HRNetError(f"{annotations} holds no person with a labelled keypoint")
    _check_files(instances, annotations, Path(images))
    frame = frame or _find_frame(instances, annotations, exif)
    if frame.stored:
        instances = tuple(replace(one, upright=frame.is_upright(one.image_path)) for one in instances)
    coco = {**content, "images": list(file.images.values()), "categories": [chosen], "annotations": reader.kept}
    remarks = choice_remark(file, chosen), bones(chosen.get("skeleton"), len(known.joints))[1], *reader.remarks()
    return KeypointDataset(known, instances, coco, Path(images), tuple(filter(None, remarks)), frame)


def _size(image: dict[str, Any]) -> tuple[int, int]:
    return image["height"], image["width"]


def _find_frame(instances: Sequence[KeypointInstance], annotations: Path | str, exif: str | None) -> CoordinateFrame:
    sizes = {one.image_path: one.image_size for one in instances}
    return find_frame(sizes, sizes.get, annotations, exif)


def _check_files(instances: Sequence[KeypointInstance], annotations: Path | str, folder: Path) -> None:
    if not folder.is_dir():
        raise HRNetError(f"image folder {folder} does not exist")
    missing = [instance for instance in instances if not instance.image_path.is_file()]
    if missing:
        first = missing[0]
        raise HRNetError(
            f"{annotations} names {len({p.image_path for p in missing})} image files that are not in {folder}, "
            f"the first is {first.image_path.name} (annotation number {first.annotation_id})"
        )
