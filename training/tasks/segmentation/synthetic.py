"""Synthetic data of segmentation."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.files import write_json
from training.data.synthetic.body import PARTS
from training.data.synthetic.layouts import Layout, write_jpeg
from training.data.synthetic.scene import OCCLUDER, Scene

PART_CLASSES = ("background", "head", "torso", "arm", "leg")
_HEAD, _TORSO, _ARM, _LEG = 1, 2, 3, 4
_CLASS_OF_PART = {  # of those that are no parts of a head
    "torso": _TORSO, "placket": _TORSO, "pelvis": _LEG, "upper_arm": _ARM, "forearm": _ARM, "hand": _ARM, "thigh": _LEG,
    "shin": _LEG, "foot": _LEG,
}  # fmt: skip


class MaskLayout(Layout):
    """Masks of the parts of the body: {train,val}/images, {train,val}/masks, classes.json."""

    def add(self, name: str, scene: Scene) -> None:
        write_jpeg(self.folder / self.split / "images" / f"{name}.jpg", scene.image)
        path = self.folder / self.split / "masks" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", CLASS_OF_LABEL[scene.labels])[1].tobytes())

    def finish(self) -> None:
        write_json(self.folder / "classes.json", list(PART_CLASSES))


def _classes_of_labels() -> NDArray[np.uint8]:
    """Return the class (256,) of each number in the labels of a scene."""
    classes = np.zeros(256, np.uint8)
    for label in range(1, OCCLUDER):
        part = PARTS[(label - 1) % len(PARTS)].name
        classes[label] = _CLASS_OF_PART.get(part.removeprefix("left_").removeprefix("right_"), _HEAD)
    return classes


CLASS_OF_LABEL = _classes_of_labels()


def shows_head(labels: NDArray[np.uint8], row: int, column: int) -> bool:
    """Whether a pixel of a scene's labels (H, W) belongs to a head; False outside of the image."""
    height, width = labels.shape
    return 0 <= column < width and 0 <= row < height and int(CLASS_OF_LABEL[labels[row, column]]) == _HEAD
