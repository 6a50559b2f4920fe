"""The bundled default data: articulated people, drawn, with exact joints as a data set of any task."""

from training.data.synthetic.dataset import write_synthetic_people

__all__ = ["write_synthetic_people"]
