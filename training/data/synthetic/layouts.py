"""How drawn people are written as a data set. Each task has its own layout, `training/tasks/T/synthetic.py`."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mobile_eval.files import write_json
from training.data.synthetic.body import Image
from training.data.synthetic.figure import Array, Point
from training.data.synthetic.scene import DrawnPerson, Scene

VERSION = 2  # of the pictures and labels
JPEG_QUALITY = 92
HEAD_MARGIN = 2.2 / 2 - 1  # around a head, as a fraction of its box: the picture is 2.2 radii wide


class Layout(abc.ABC):
    """Writes a split of a data set, scene by scene.

    Args:
        folder: Folder of the data set.
        split: train or val.

    Attributes:
        zoom: Factor on the size of the scenes, for layouts that cut out parts of them.
    """

    zoom = 1

    def __init__(self, folder: Path, split: str):
        self.folder = folder
        self.split = split

    @abc.abstractmethod
    def add(self, name: str, scene: Scene) -> None:
        """Write a scene, or parts of it, to files whose names begin with `name`."""

    def finish(self) -> None:  # noqa: B027
        """Write the files of the full split."""


class CocoLayout(Layout):
    """Writes images to one folder, and a COCO JSON file.

    Attributes:
        categories: Categories of the file.
        kind: First part of the file's name.
    """

    categories: tuple[dict[str, Any], ...]
    kind: str

    def __init__(self, folder: Path, split: str):
        super().__init__(folder, split)
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add_image(self, name: str, picture: Image) -> None:
        """Write an image; the next annotations belong to it."""
        write_jpeg(self.folder / "images" / f"{name}.jpg", picture)
        height, width = picture.shape[:2]
        self.images.append({"id": len(self.images) + 1, "file_name": f"{name}.jpg", "height": height, "width": width})

    def annotate(self, box: Sequence[float], area: float, keypoints: Array | None = None, category: int = 1) -> None:
        """Add an object of the last image.

        Args:
            box: Box (x, y, width, height) in pixels.
            area: Its area in pixels.
            keypoints: Keypoints (K, 3), if any.
            category: Id of its category.
        """
        annotation: dict[str, Any] = {
            "id": len(self.annotations) + 1,
            "image_id": len(self.images),
            "category_id": category,
            "iscrowd": 0,
            "bbox": list(box),
            "area": area,
        }
        if keypoints is not None:
            annotation["num_keypoints"] = int((keypoints[:, 2] > 0).sum())
            annotation["keypoints"] = [int(v) if i % 3 == 2 else float(v) for i, v in enumerate(keypoints.ravel())]
        self.annotations.append(annotation)

    def finish(self) -> None:
        info = {"description": "Synthetic people: drawn figures with exact truth", "version": str(VERSION)}
        content = {"info": info, "images": self.images, "annotations": self.annotations, "categories": list(self.categories)}
        write_json(self.folder / f"{self.kind}_{self.split}.json", content)


def head_box(person: DrawnPerson) -> Array:
    """Return the square (x, y, width, height) around the head, which may extend beyond the image."""
    center = person.points[Point.HEAD]
    radius = 1.15 * np.linalg.norm(person.points[Point.NOSE] - center)  # the nose is on the surface of the head
    return np.array([*(center[:2] - radius), 2 * radius, 2 * radius])


def cut_out_head(image: Image, box: Array) -> tuple[Image, Array]:
    """Return the part of an image (H, W, 3) in a box and a margin around it, and the pixel (x, y) where it begins."""
    margin = HEAD_MARGIN * box[2:].max()
    low = np.maximum(np.floor(box[:2] - margin), 0).astype(int)
    high = np.ceil(box[:2] + box[2:] + margin).astype(int)
    return np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]]), low.astype(np.float64)


def rounded_box(box: Array) -> tuple[list[float], float]:
    """Return a box (x, y, width, height) and its area, rounded for a file."""
    rounded = [round(float(value), 2) for value in box]
    return rounded, round(rounded[2] * rounded[3], 2)


def write_jpeg(path: Path, picture: Image) -> None:
    """Write a picture (H, W, 3), RGB, and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    path.write_bytes(data.tobytes())
