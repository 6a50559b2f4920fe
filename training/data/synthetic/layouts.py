"""Drawn people as the data set of each task, on disk as such data sets are laid out.

pose            COCO keypoints: images/, person_keypoints_{train,val}.json
landmarks       COCO keypoints of the faces that look at the viewer: images/, face_keypoints_{train,val}.json
segmentation    {train,val}/images, {train,val}/masks, classes.json: parts of the body
classification  {train,val}/CLASS: cut-out heads, by the side that they show
detection       COCO instances, people and their heads: images/, instances_{train,val}.json
"""

from __future__ import annotations

import abc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hrnet_tf.spec.keypoint_categories import COCO_PERSON
from mobile_eval.files import write_json
from training.data.synthetic.body import PARTS, Image
from training.data.synthetic.figure import Array, Point
from training.data.synthetic.scene import OCCLUDER, DrawnPerson, Scene

VERSION = 2  # of what is drawn: a change of pictures or truth is a new version
JPEG_QUALITY = 92
FACE_POINTS = {  # landmarks, and the joints that a face is taken by
    "left_eye": Point.LEFT_EYE,
    "right_eye": Point.RIGHT_EYE,
    "nose": Point.NOSE,
    "left_mouth": Point.LEFT_MOUTH,
    "right_mouth": Point.RIGHT_MOUTH,
}
SEEN = 2  # COCO's visibility
PART_CLASSES = ("background", "head", "torso", "arm", "leg")
_HEAD = PART_CLASSES.index("head")
SIDES = ("back", "front", "side")
_FACE_MARGIN = 2.2  # around the head, in its radii
_CLASS_OF_PART = {
    "torso": 2, "placket": 2, "pelvis": 4, "upper_arm": 3, "forearm": 3, "hand": 3, "thigh": 4, "shin": 4, "foot": 4,
}  # fmt: skip


class Layout(abc.ABC):
    """Writes one split of a data set, scene by scene. `zoom` is how much larger scenes are drawn for it than asked."""

    zoom = 1

    def __init__(self, folder: Path, split: str):
        self.folder = folder
        self.split = split

    @abc.abstractmethod
    def add(self, name: str, scene: Scene) -> None:
        """Write a scene, or what is cut out of it, under names that begin with `name`."""

    def finish(self) -> None:  # noqa: B027
        """Write what there is one of for the whole split."""


class CocoLayout(Layout):
    """Images in one folder, and a COCO JSON file beside it."""

    categories: tuple[dict[str, Any], ...]
    kind: str

    def __init__(self, folder: Path, split: str):
        super().__init__(folder, split)
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add_image(self, name: str, picture: Image) -> None:
        """Write an image; the annotations that follow are of it."""
        write_jpeg(self.folder / "images" / f"{name}.jpg", picture)
        height, width = picture.shape[:2]
        self.images.append({"id": len(self.images) + 1, "file_name": f"{name}.jpg", "height": height, "width": width})

    def annotate(self, box: Any, area: float, keypoints: Array | None = None, category: int = 1) -> None:
        """Note an object in the image that was added last; keypoints (K, 3)."""
        found: dict[str, Any] = {"id": len(self.annotations) + 1, "image_id": len(self.images), "category_id": category}
        found |= {"iscrowd": 0, "bbox": list(box), "area": area}
        if keypoints is not None:
            found["num_keypoints"] = int((keypoints[:, 2] > 0).sum())
            found["keypoints"] = [int(v) if i % 3 == 2 else float(v) for i, v in enumerate(keypoints.ravel())]
        self.annotations.append(found)

    def finish(self) -> None:
        info = {"description": "Synthetic people: drawn figures with exact truth", "version": str(VERSION)}
        content = {"info": info, "images": self.images, "annotations": self.annotations, "categories": list(self.categories)}
        write_json(self.folder / f"{self.kind}_{self.split}.json", content)


class PoseLayout(CocoLayout):
    """Joints of everybody."""

    categories = ({"id": 1, "supercategory": "person", **COCO_PERSON},)
    kind = "person_keypoints"

    def add(self, name: str, scene: Scene) -> None:
        self.add_image(name, scene.image)
        for person in scene.people:
            self.annotate(person.box, person.area, person.keypoints)


class LandmarkLayout(CocoLayout):
    """Cut-out faces of which both eyes and the nose are seen."""

    categories = ({"id": 1, "supercategory": "person", "name": "face", "keypoints": list(FACE_POINTS), "skeleton": []},)
    kind = "face_keypoints"
    zoom = 3

    def add(self, name: str, scene: Scene) -> None:
        for number, person in enumerate(scene.people):
            if (person.keypoints[[Point.LEFT_EYE, Point.RIGHT_EYE, Point.NOSE], 2] < SEEN).any():
                continue
            box = head_box(person)
            picture, corner = cut_out(scene.image, box, _FACE_MARGIN / 2 - 1)
            points = person.points[list(FACE_POINTS.values()), :2] - corner
            inside = ((points >= 0) & (points <= np.array(picture.shape[1::-1]) - 1)).all()
            if inside:
                self.add_image(f"{name}_{number}", picture)
                keypoints = np.column_stack([points.round(2), np.full(len(points), SEEN)])
                place = [round(float(value), 2) for value in (*(box[:2] - corner), *box[2:])]
                self.annotate(place, round(place[2] * place[3], 2), keypoints)


class InstanceLayout(CocoLayout):
    """Boxes of people and of their heads."""

    categories = ({"id": 1, "name": "person"}, {"id": 2, "name": "head"})
    kind = "instances"

    def add(self, name: str, scene: Scene) -> None:
        self.add_image(name, scene.image)
        for person in scene.people:
            self.annotate(person.box, person.area)
            box = clipped(head_box(person), scene.image.shape[:2])
            if box[2:].min() > 1:
                place = [round(float(value), 2) for value in box]
                self.annotate(place, round(place[2] * place[3], 2), category=2)


class MaskLayout(Layout):
    """A mask of the parts of the body for each image."""

    def add(self, name: str, scene: Scene) -> None:
        write_jpeg(self.folder / self.split / "images" / f"{name}.jpg", scene.image)
        path = self.folder / self.split / "masks" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", CLASS_OF_LABEL[scene.labels])[1].tobytes())

    def finish(self) -> None:
        write_json(self.folder / "classes.json", list(PART_CLASSES))


class SideLayout(Layout):
    """Cut-out heads whose middle is seen, in a folder for the side that they show."""

    zoom = 3

    def add(self, name: str, scene: Scene) -> None:
        height, width = scene.labels.shape
        for number, person in enumerate(scene.people):
            column, row = person.points[Point.HEAD, :2].round().astype(int)
            if 0 <= column < width and 0 <= row < height and CLASS_OF_LABEL[scene.labels[row, column]] == _HEAD:
                picture, _ = cut_out(scene.image, head_box(person), _FACE_MARGIN / 2 - 1)
                write_jpeg(self.folder / self.split / SIDES[side_of(person)] / f"{name}_{number}.jpg", picture)


LAYOUTS: dict[str, type[Layout]] = {
    "pose": PoseLayout,
    "landmarks": LandmarkLayout,
    "segmentation": MaskLayout,
    "classification": SideLayout,
    "detection": InstanceLayout,
}


def _classes_of_labels() -> NDArray[np.uint8]:
    """The class (256,) of each number in a scene's labels."""
    classes = np.zeros(256, np.uint8)
    for label in range(1, OCCLUDER):
        part = PARTS[(label - 1) % len(PARTS)].name
        classes[label] = _CLASS_OF_PART.get(part.removeprefix("left_").removeprefix("right_"), 1)
    return classes


CLASS_OF_LABEL = _classes_of_labels()


def side_of(person: DrawnPerson) -> int:
    """The index in SIDES of what is seen of the head."""
    x, _, z = person.points[Point.NOSE] - person.points[Point.HEAD]
    return 2 if abs(x) > abs(z) else int(z > 0)


def head_box(person: DrawnPerson) -> Array:
    """The square (x, y, width, height) around the head, over the image's border where the head is."""
    middle = person.points[Point.HEAD]
    radius = 1.15 * np.linalg.norm(person.points[Point.NOSE] - middle)  # the nose lies on it
    return np.array([*(middle[:2] - radius), 2 * radius, 2 * radius])


def clipped(box: Array, size: tuple[int, ...]) -> Array:
    """What of a box (x, y, width, height) lies in an image of `size` (height, width)."""
    corners = np.clip(np.concatenate([box[:2], box[:2] + box[2:]]), 0, [size[1] - 1, size[0] - 1] * 2)
    return np.concatenate([corners[:2], corners[2:] - corners[:2]])


def cut_out(image: Image, box: Array, margin: float) -> tuple[Image, Array]:
    """What lies in `box` and a margin (a share of its larger side) around it, and the pixel (x, y) where that begins."""
    around = margin * box[2:].max()
    low = np.maximum(np.floor(box[:2] - around), 0).astype(int)
    high = np.ceil(box[:2] + box[2:] + around).astype(int)
    return np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]]), low.astype(np.float64)


def write_jpeg(path: Path, picture: Image) -> None:
    """Write an RGB picture (H, W, 3), and the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    path.write_bytes(data.tobytes())
