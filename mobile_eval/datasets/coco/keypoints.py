"""Keypoint datasets in COCO's format, of any category and number of joints."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.classes import check_limit
from mobile_eval.datasets.coco.categories import KeypointCategory, choice_remark, choose_category, parse_skeleton
from mobile_eval.datasets.coco.invalid_labels import InvalidLabels
from mobile_eval.datasets.coco.keypoint_reader import KeypointReader, LabelledInstance
from mobile_eval.datasets.coco.schema import Box, CocoData, Id, parse_coco
from mobile_eval.datasets.coordinate_frame import ALL_UPRIGHT, CoordinateFrame, find_frame
from mobile_eval.datasets.face_lists import faces_as_coco, is_face_list
from mobile_eval.datasets.image_files import check_images_exist
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.typed import JsonObject

MARGIN_PX = 2.0  # rounding and manual labelling put joints slightly outside the image


@dataclass(frozen=True)
class KeypointInstance:
    """One annotated instance, such as a person or a face.

    Args:
        annotation_id: Place of its annotation in the file, counted from 1, whatever its id is.
        image_id: Id of its image.
        image_path: File of its image.
        image_size: (height, width) as the annotation file states it, or None.
        box: The box (x, y, width, height) in pixels.
        keypoints: Keypoints (K, 3) as x, y, visibility, in pixels.
        head_box: The box of the head, if the annotation has one (as "bbox_head", PoseTrack's name).
        upright: Whether coordinates refer to the image as EXIF turns it, or as it is stored.
    """

    annotation_id: int
    image_id: Id
    image_path: Path
    image_size: tuple[int, int] | None
    box: Box
    keypoints: NDArray[np.float64]
    head_box: Box | None = None
    upright: bool = True


@dataclass(frozen=True)
class KeypointDataset:
    """The labelled instances of an annotation file.

    Args:
        category: The category of the instances.
        instances: The instances with at least one labelled keypoint.
        coco: The content of the file for COCO's evaluation: the annotations of this category, numbered from 1.
        image_folder: The folder that file names are relative to.
        remarks: What was skipped in the file, or read differently from what it states.
        invalid: The invalid labels of the file, of each kind.
        frame: How images are read that EXIF turns.
    """

    category: KeypointCategory
    instances: tuple[KeypointInstance, ...]
    coco: CocoData
    image_folder: Path
    remarks: tuple[str, ...] = ()
    invalid: tuple[InvalidLabels, ...] = ()
    frame: CoordinateFrame = ALL_UPRIGHT

    def __len__(self) -> int:
        return len(self.instances)

    @property
    def items(self) -> tuple[KeypointInstance, ...]:
        """The instances."""
        return self.instances

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the joints."""
        return self.category.joints

    @property
    def label_schema(self) -> JsonObject:
        """The category as plain data."""
        return self.category.to_json()

    @property
    def category_id(self) -> Id:
        """The id of the category in the annotation file."""
        return self.coco["categories"][0]["id"]

    @property
    def skipped_summary(self) -> str:
        """What was skipped in the file, or read differently from what it states."""
        return "; ".join(self.remarks)

    def head(self, count: int | None) -> KeypointDataset:
        """The first `count` instances with their annotations; all for None."""
        check_limit(count, "instances")
        return self if count is None or count >= len(self.instances) else self.part(slice(count))

    def part(self, which: slice) -> KeypointDataset:
        """The instances of a slice with their annotations."""
        instances = self.instances[which]
        annotation_ids = {instance.annotation_id for instance in instances}
        image_ids = {instance.image_id for instance in instances}
        coco = self.coco.copy()
        coco["images"] = [image for image in self.coco["images"] if image["id"] in image_ids]
        coco["annotations"] = [entry for entry in self.coco["annotations"] if entry["id"] in annotation_ids]
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
    """Read a COCO keypoint file, or a list of faces in the format of their datasets (see `faces_as_coco`).

    Crowds and instances without labelled keypoints are skipped. Labelled keypoints outside their image count as unlabelled,
    and annotations without keypoints or without a box in their image are skipped, if these are at most 1 % of the file's.
    Landmarks of face lists may lie outside, because faces at the border have such landmarks.

    Args:
        annotations: The file, or the folder of .pts files.
        images: The folder that file names are relative to.
        category: Name or id of the category to use, where several have keypoints and annotations.
        strict: Refuse the file at the first invalid label.
        expected: Name of a model's category. It decides where several have annotations and `category` is None.
        exif: Whether annotations refer to images as EXIF turns them or as they are stored, one of `coordinate_frame.FRAMES`;
            None decides by the image sizes in the file.

    Raises:
        HRNetError: The file is empty or of another kind, an image is missing, or too many labels are invalid. The message
            names the file and the first invalid annotation.

    Example:
        >>> data = load_keypoint_dataset("person_keypoints_val2017.json", "val2017")  # doctest: +SKIP
        >>> len(data), data.names[0]  # doctest: +SKIP
        (6352, 'nose')
    """
    is_list = is_face_list(annotations)
    content, frame = faces_as_coco(annotations, images, exif) if is_list else (read_json(annotations, "annotation file"), None)
    file = parse_coco(content, str(annotations), "a COCO keypoint file")
    entry = choose_category(file, category, expected)
    try:
        chosen = KeypointCategory.from_json(entry)
    except HRNetError as error:
        raise HRNetError(f"{annotations}: {error}") from error
    reader = KeypointReader(file, entry, chosen.joints, math.inf if is_list else MARGIN_PX, strict=strict)
    instances = [_instance(labelled, Path(images)) for labelled in reader.instances()]
    if not instances:
        raise HRNetError(f"{annotations} holds no instance with a labelled keypoint")
    sizes = {instance.image_path: instance.image_size for instance in instances}
    check_images_exist(sizes, annotations, images)
    frame = frame or find_frame(sizes, sizes.get, annotations, exif)
    if frame.stored:
        instances = [replace(instance, upright=frame.is_upright(instance.image_path)) for instance in instances]
    tables = {"images": list(file.images.values()), "categories": [entry], "annotations": reader.entries}
    remarks = choice_remark(file, entry), parse_skeleton(entry.get("skeleton"), len(chosen.joints))[1], *reader.remarks()
    return KeypointDataset(
        category=chosen,
        instances=tuple(instances),
        coco=cast(CocoData, {**content, **tables}),
        image_folder=Path(images),
        remarks=tuple(filter(None, remarks)),
        invalid=reader.invalid,
        frame=frame,
    )


def _instance(labelled: LabelledInstance, folder: Path) -> KeypointInstance:
    image = labelled.image
    return KeypointInstance(
        annotation_id=labelled.entry["id"],
        image_id=image["id"],
        image_path=folder / image["file_name"],
        image_size=(image["height"], image["width"]),
        box=labelled.box,
        keypoints=labelled.keypoints,
        head_box=labelled.head_box,
    )
