"""Synthetic data of classification."""

from __future__ import annotations

from training.data.synthetic.figure import Point
from training.data.synthetic.layouts import Layout, cut_out_head, head_box, write_jpeg
from training.data.synthetic.scene import DrawnPerson, Scene
from training.tasks.segmentation.synthetic import shows_head

SIDES = ("back", "front", "side")


class SideLayout(Layout):
    """Cut-out heads whose centre is visible, by the side that they show: {train,val}/CLASS."""

    zoom = 3

    def add(self, name: str, scene: Scene) -> None:
        for number, person in enumerate(scene.people):
            column, row = person.points[Point.HEAD, :2].round().astype(int)
            if shows_head(scene.labels, row, column):
                picture, _ = cut_out_head(scene.image, head_box(person))
                write_jpeg(self.folder / self.split / SIDES[side_of(person)] / f"{name}_{number}.jpg", picture)


def side_of(person: DrawnPerson) -> int:
    """Return the index in SIDES of the visible side of the head."""
    x, _, z = person.points[Point.NOSE] - person.points[Point.HEAD]
    return 2 if abs(x) > abs(z) else int(z > 0)
