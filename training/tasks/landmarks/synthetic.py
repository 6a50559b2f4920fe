"""Synthetic data of facial landmarks."""

from __future__ import annotations

import numpy as np

from training.data.synthetic.figure import Point
from training.data.synthetic.layouts import CocoLayout, cut_out_head, head_box, rounded_box
from training.data.synthetic.scene import Scene

FACE_POINTS = {
    "left_eye": Point.LEFT_EYE,
    "right_eye": Point.RIGHT_EYE,
    "nose": Point.NOSE,
    "left_mouth": Point.LEFT_MOUTH,
    "right_mouth": Point.RIGHT_MOUTH,
}
VISIBLE = 2  # COCO's visibility


class LandmarkLayout(CocoLayout):
    """COCO keypoints of cut-out faces with both eyes and the nose visible: images/, face_keypoints_{train,val}.json."""

    categories = ({"id": 1, "supercategory": "person", "name": "face", "keypoints": list(FACE_POINTS), "skeleton": []},)
    kind = "face_keypoints"
    zoom = 3

    def add(self, name: str, scene: Scene) -> None:
        for number, person in enumerate(scene.people):
            if (person.keypoints[[Point.LEFT_EYE, Point.RIGHT_EYE, Point.NOSE], 2] < VISIBLE).any():
                continue
            box = head_box(person)
            picture, corner = cut_out_head(scene.image, box)
            points = person.points[list(FACE_POINTS.values()), :2] - corner
            if ((points >= 0) & (points <= np.array(picture.shape[1::-1]) - 1)).all():
                self.add_image(f"{name}_{number}", picture)
                keypoints = np.column_stack([points.round(2), np.full(len(points), VISIBLE)])
                self.annotate(*rounded_box(np.concatenate([box[:2] - corner, box[2:]])), keypoints)
