"""Settings of a training, as data that is stored in the run."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.targets import KINDS, HeatmapTargets

CHOICES = {"schedule": ("cosine", "step"), "targets": KINDS, "loss": ("mse", "ohkm"), "keep": ("last", "best")}
KEPT_IN_TUNING = {"targets", "sigma", "loss", "half_body_probability"}
KEPT_IN_TUNING |= {"scale", "rotation", "rotation_probability", "flip_probability"}


@dataclass(frozen=True)
class TrainingConfig:
    """What `model.fit` is given; paths are those of the command line.

    `learning_rate` is Adam's peak. By the schedule cosine it rises over `warmup_epochs` and falls along a cosine to zero;
    by the schedule step it begins at once and becomes a tenth after each of `drops` (epochs).
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
    schedule: str = "cosine"
    drops: tuple[int, ...] = ()
    targets: str = "dark"  # how joints become heatmaps, see `training.targets`
    loss: str = "mse"  # of all joints, or ohkm: of each image's 8 worst
    rotation_probability: float = 0.6
    flip_probability: float = 0.5
    half_body_probability: float = 0.0
    accumulate: int = 1  # batches whose gradients are averaged before the weights move
    ema: float = 0.0  # momentum of the weights' moving average, which is then what is kept; 0 for none
    freeze: tuple[str, ...] = ()  # parts of the network that stay as they are, such as stem
    keep: str = "last"  # the weights of the last epoch, or of the best by val_pck
    patience: int = 0  # end after so many epochs without a better val_pck; 0: never
    devices: int = 1  # each is given batch_size persons a step; the learning rate grows with them

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate", "sigma"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{_option(name)} must be above 0, got {getattr(self, name)}")
        for name in ("scale", "link_dropout", "sparsity"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{_option(name)} must be at least 0 and below 1, got {getattr(self, name)}")
        for name in ("rotation_probability", "flip_probability", "half_body_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{_option(name)} must be between 0 and 1, got {getattr(self, name)}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{_option(name)} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if not 0 <= self.distill <= 1:
            raise ValueError(f"distill is a share of the loss, between 0 and 1, got {self.distill}")
        for name in ("warmup_epochs", "rotation"):
            if getattr(self, name) < 0:
                raise ValueError(f"{_option(name)} must be at least 0, got {getattr(self, name)}")
        for name in ("accumulate", "devices"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.ema < 1 or self.patience < 0:
            raise ValueError(f"ema must be at least 0 and below 1, patience at least 0, got {self.ema:g} and {self.patience}")
        if (self.patience or self.keep == "best") and self.val_annotations is None:
            raise ValueError("--patience and --keep best go by the PCK on --val-annotations: give them")
        self._check_drops()

    @property
    def persons_a_step(self) -> int:
        """By all devices together."""
        return self.batch_size * self.devices

    def _check_drops(self) -> None:
        if self.schedule != "step":
            return
        if not self.drops:
            raise ValueError("the schedule step needs --drops, the epochs at which the learning rate becomes a tenth")
        epochs = (0, *self.drops, self.epochs)
        if any(before >= after for before, after in itertools.pairwise(epochs)):
            raise ValueError(
                f"the learning rate cannot drop at {', '.join(map(str, self.drops))} of {self.epochs} epochs: "
                "give rising --drops below --epochs, or --schedule cosine"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**dataclasses.asdict(self), "drops": list(self.drops), "freeze": list(self.freeze)}


def _option(name: str) -> str:
    return name.replace("_", "-")


def data_paths(train_annotations: Path, val_annotations: Path | None, images: Path, val_images: Path | None) -> dict[str, Any]:
    """The settings that say where the people are."""
    paths = {"train_annotations": train_annotations, "val_annotations": val_annotations}
    paths |= {"images": images, "val_images": val_images}
    return {name: str(path) if path else None for name, path in paths.items()}


def tuning_config(
    parent: dict[str, Any], people: dict[str, Any], epochs: int, batch_size: int, learning_rate: float, seed: int
) -> TrainingConfig:
    """The parent run's targets, loss and augmentation (the defaults where it was imported) with these settings."""
    settings = {name: value for name, value in with_defaults(parent).items() if name in KEPT_IN_TUNING}
    settings |= {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    return TrainingConfig(**people, **settings)


def with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """A stored config with the settings that came later at the values that they had before."""
    fields = [field for field in dataclasses.fields(TrainingConfig) if field.default is not dataclasses.MISSING]
    return {**{field.name: field.default for field in fields}, "drops": [], "freeze": [], **config}


def stored_targets(config: dict[str, Any]) -> HeatmapTargets:
    """The targets that a run with that config learnt; the defaults where it was imported."""
    settings = with_defaults(config)
    return HeatmapTargets(settings["targets"], settings["sigma"])
