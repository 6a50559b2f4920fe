"""Synthetic data of detection."""

from __future__ import annotations

import numpy as np

from training.data.synthetic.figure import Array
from training.data.synthetic.layouts import CocoLayout, head_box, rounded_box
from training.data.synthetic.scene import Scene


class InstanceLayout(CocoLayout):
    """COCO boxes of people and of their heads: images/, instances_{train,val}.json."""

    categories = ({"id": 1, "name": "person"}, {"id": 2, "name": "head"})
    kind = "instances"

    def add(self, name: str, scene: Scene) -> None:
        self.add_image(name, scene.image)
        for person in scene.people:
            self.annotate(person.box, person.area)
            box = clipped(head_box(person), scene.image.shape[:2])
            if box[2:].min() > 1:
                self.annotate(*rounded_box(box), category=2)


def clipped(box: Array, size: tuple[int, ...]) -> Array:
    """Clip a box (x, y, width, height) to an image of `size` (height, width)."""
    corners = np.clip(np.concatenate([box[:2], box[:2] + box[2:]]), 0, [size[1] - 1, size[0] - 1] * 2)
    return np.concatenate([corners[:2], corners[2:] - corners[:2]])
