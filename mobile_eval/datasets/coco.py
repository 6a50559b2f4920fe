"""Keypoint data sets in COCO's format, of any category and number of joints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.faces import faces_as_coco, is_of_faces
from mobile_eval.datasets.frames import ALL_UPRIGHT, Frame, find_frame
from mobile_eval.datasets.sides import Pairs, checked_pairs, name_words, named_pairs
from mobile_eval.files import read_json
from mobile_eval.geometry import checked_box

# COCO's OKS constants (cocodataset.org), and CrowdPose's for head and neck (arXiv 1812.00324), by joint name
# without its side, words joined by "_".
OKS_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089, "head": 0.079, "head_top": 0.079, "neck": 0.079,
}  # fmt: skip
HEAD_BOX = "bbox_head"
MARGIN_PX = 2.0  # rounding and hand-made labels put joints a little over the border


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
        sigmas = data.get("sigmas") or [OKS_SIGMAS.get("_".join(name_words(joint)), 0.0) for joint in joints]
        if len(sigmas) != len(joints):
            raise ValueError(f"category {data['name']!r}: {len(joints)} keypoints but {len(sigmas)} sigmas")
        stated = data.get("flip_pairs")
        return cls(
            name=data["name"],
            joints=joints,
            skeleton=tuple((a - 1, b - 1) for a, b in data.get("skeleton") or ()),
            sigmas=tuple(map(float, sigmas)) if sigmas and min(sigmas) > 0 else None,
            flip_pairs=named_pairs(joints) or None
            if stated is None
            else checked_pairs(stated, joints, f"category {data['name']!r}, flip_pairs"),
        )


@dataclass(frozen=True)
class Person:
    """One annotated instance: its box (x, y, width, height) and keypoints (K, 3) as x, y, visibility in image pixels.

    `image_size` is (height, width) as the annotation file gives it, if it does; `head_box` is the head's, where the annotation
    has one (as "bbox_head", PoseTrack's name for it). `upright` is whether annotations are of the image as EXIF turns it, or else
    as it is stored.
    """

    annotation_id: int
    image_id: int
    image_path: Path
    image_size: tuple[int, int] | None
    box: tuple[float, float, float, float]
    keypoints: NDArray[np.float64]
    head_box: tuple[float, float, float, float] | None = None
    upright: bool = True


@dataclass(frozen=True)
class KeypointDataset:
    """The labelled persons of an annotation file, how its images are read, and its content for COCO's own evaluation."""

    category: KeypointCategory
    persons: tuple[Person, ...]
    coco: dict[str, Any]
    frame: Frame = ALL_UPRIGHT

    def __len__(self) -> int:
        return len(self.persons)

    @property
    def items(self) -> tuple[Person, ...]:
        """The persons."""
        return self.persons

    @property
    def names(self) -> tuple[str, ...]:
        """The joints."""
        return self.category.joints

    @property
    def answers(self) -> dict[str, Any]:
        """The category as plain data."""
        return self.category.to_json()

    @property
    def category_id(self) -> int:
        """The id that the annotation file gives to the category."""
        return int(next(c["id"] for c in self.coco["categories"] if c.get("keypoints")))

    @property
    def left_out(self) -> str:
        """How many annotations are no labelled person, and why."""
        count = len(self.coco["annotations"]) - len(self)
        return f"{count:,} annotations left out: a crowd, or no labelled joint" if count else ""

    def head(self, count: int | None) -> KeypointDataset:
        """The first `count` persons, annotations to match; all for None."""
        if count is not None and count < 1:
            raise ValueError(f"the number of persons to take must be at least 1, got {count}")
        return self if count is None or count >= len(self.persons) else self.part(slice(count))

    def part(self, which: slice) -> KeypointDataset:
        """The persons of a slice, annotations to match."""
        persons = self.persons[which]
        kept = {person.annotation_id for person in persons}
        images = {person.image_id for person in persons}
        coco = {
            **self.coco,
            "images": [image for image in self.coco["images"] if image["id"] in images],
            "annotations": [a for a in self.coco["annotations"] if a["id"] in kept],
        }
        return replace(self, persons=persons, coco=coco)


def load_keypoint_dataset(annotations: Path | str, images: Path | str, *, exif: str | None = None) -> KeypointDataset:
    """Read a COCO keypoint file, or faces as their data sets list them; persons without a labelled joint and crowds are left out.

    `exif` is how images are annotated that EXIF turns, one of `frames.FRAMES`; None leaves it to the sizes in the file.

    Raises ValueError, naming the file and the entry, for a file that is empty or of another kind, a missing
    image, a box without area or outside its image, and labelled keypoints outside their image. Of lists of faces
    (`faces_as_coco`) landmarks may lie outside, as those of faces at the border do.
    """
    of_faces = is_of_faces(annotations)
    coco, frame = faces_as_coco(annotations, images, exif) if of_faces else (read_json(annotations, "annotation file"), None)
    margin = math.inf if of_faces else MARGIN_PX
    try:
        annotated = next(c for c in coco["categories"] if c.get("keypoints"))
        category = KeypointCategory.from_json(annotated)
        entries = {image["id"]: image for image in coco["images"]}
        of_category = [a for a in coco["annotations"] if a.get("category_id", annotated["id"]) == annotated["id"]]
        labelled = [a for a in of_category if not a.get("iscrowd") and any(a["keypoints"][2::3])]
        persons = tuple(_person(a, entries[a["image_id"]], category, Path(images), margin) for a in labelled)
    except StopIteration:
        raise ValueError(f"{annotations} has no category with keypoints") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{annotations} is not a COCO keypoint file: {type(error).__name__} {error}") from error
    if not persons:
        raise ValueError(f"{annotations} holds no person with a labelled keypoint")
    _check_files(persons, annotations, Path(images))
    frame = frame or _find_frame(persons, annotations, exif)
    if frame.stored:
        persons = tuple(replace(one, upright=frame.is_upright(one.image_path)) for one in persons)
    return KeypointDataset(category, persons, coco, frame)


def _person(annotation: dict[str, Any], image: dict[str, Any], category: KeypointCategory, folder: Path, margin: float) -> Person:
    where = f"annotation {annotation['id']} ({image['file_name']})"
    if len(annotation["keypoints"]) != 3 * len(category.joints):
        raise ValueError(f"{where}: {len(annotation['keypoints'])} keypoint numbers, expected 3 x {len(category.joints)}")
    keypoints = np.array(annotation["keypoints"], np.float64).reshape(-1, 3)
    x, y, visible = keypoints.T
    outside = (x < -margin) | (x > image["width"] + margin) | (y < -margin) | (y > image["height"] + margin)
    if np.any(outside & (visible > 0)):
        joint = int(np.argmax(outside & (visible > 0)))
        raise ValueError(
            f"{where}: {category.joints[joint]} at ({x[joint]:g}, {y[joint]:g}) lies outside the "
            f"{image['width']}x{image['height']} image; set its visibility to 0 or correct it"
        )
    box = checked_box(annotation["bbox"], where)
    left, top, wide, high = box
    if left >= image["width"] or top >= image["height"] or left + wide <= 0 or top + high <= 0:
        raise ValueError(f"{where}: bbox {annotation['bbox']} lies outside the {image['width']}x{image['height']} image")
    size = (int(image["height"]), int(image["width"]))
    head = annotation.get(HEAD_BOX)
    head_box = checked_box(head, f"{where}, {HEAD_BOX}") if head else None
    return Person(annotation["id"], annotation["image_id"], folder / image["file_name"], size, box, keypoints, head_box)


def _find_frame(persons: Sequence[Person], annotations: Path | str, exif: str | None) -> Frame:
    sizes = {one.image_path: one.image_size for one in persons}
    return find_frame(sizes, sizes.get, annotations, exif)


def _check_files(persons: Sequence[Person], annotations: Path | str, folder: Path) -> None:
    if not folder.is_dir():
        raise ValueError(f"image folder {folder} does not exist")
    missing = [person for person in persons if not person.image_path.is_file()]
    if missing:
        first = missing[0]
        raise ValueError(
            f"{annotations} names {len({p.image_path for p in missing})} image files that are not in {folder}, "
            f"the first is {first.image_path.name} (annotation {first.annotation_id})"
        )
