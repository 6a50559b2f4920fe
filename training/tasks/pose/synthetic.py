"""Synthetic data of pose."""

from __future__ import annotations

from hrnet_tf.spec.keypoint_categories import COCO_PERSON
from training.data.synthetic.layouts import CocoLayout
from training.data.synthetic.scene import Scene


class PoseLayout(CocoLayout):
    """COCO keypoints of all people: images/, person_keypoints_{train,val}.json."""

    categories = ({"id": 1, "supercategory": "person", **COCO_PERSON},)
    kind = "person_keypoints"

    def add(self, name: str, scene: Scene) -> None:
        self.add_image(name, scene.image)
        for person in scene.people:
            self.annotate(person.box, person.area, person.keypoints)
