"""Settings of a training, as data that is stored in the run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TrainingConfig:
    """What `model.fit` is given; paths are those of the command line.

    `learning_rate` is Adam's peak: it rises over `warmup_epochs` and falls along a cosine to zero.
    `sigma` is the Gaussian targets' standard deviation in heatmap pixels; angles are in degrees.
    """

    train_annotations: str
    val_annotations: str | None
    images: str
    val_images: str | None
    epochs: int
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup_epochs: float = 1.0
    sigma: float = 2.0
    rotation: float = 45.0
    scale: float = 0.35
    seed: int = 0
    mixed_precision: bool = False  # bfloat16 arithmetic, float32 weights; not for quantization-aware tuning
    distill: float = 0.0  # the teacher's share of the loss, where there is a teacher
    link_dropout: float = 0.0  # chance of each fusion link to be left out of a training image
    sparsity: float = 0.0  # share of each convolution's weights that become zero

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "sigma"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name.replace('_', '-')} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.scale < 1:
            raise ValueError(f"scale must be at least 0 and below 1, got {self.scale}")
        for name in ("link_dropout", "sparsity"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name.replace('_', '-')} must be at least 0 and below 1, got {getattr(self, name)}")
        if not 0 <= self.distill <= 1:
            raise ValueError(f"distill is a share of the loss, between 0 and 1, got {self.distill}")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)


def with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """A stored config with the settings that came later at the values that they had before."""
    fields = dataclasses.fields(TrainingConfig)
    return {**{field.name: field.default for field in fields if field.default is not dataclasses.MISSING}, **config}
