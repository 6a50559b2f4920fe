"""The bundled default data: articulated people, drawn, with exact joints in COCO's keypoint format."""

from training.synthetic.dataset import write_synthetic_people

__all__ = ["write_synthetic_people"]
