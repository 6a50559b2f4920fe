"""Settings of a training, as data that is stored in the run."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any

from hrnet_tf.runs.run import RUN_FILE, Run
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.typed import checked
from training.tasks.registry import setting_types, settings_class
from training.tasks.settings import (
    check_choice,
    check_fractions,
    check_not_negative,
    check_positive,
)

FLOAT32, BFLOAT16, FLOAT16 = PRECISIONS = ("float32", "bfloat16", "float16")
SCHEDULES, OPTIMIZERS, KEEP = ("cosine", "step", "poly"), ("adam", "sgd"), ("last", "best")
MOST_EPOCHS = 1_000_000
SEEDS = 2**32  # numpy's are below it
OWN = ("train", "val", "task", "settings")  # what is stored in a form of its own


@dataclass(frozen=True)
class TrainingConfig:
    """What `model.fit` is given. `train` and `val` are where the data lie, `settings` those of the task.

    `learning_rate` is the peak. Schedule cosine: it rises over `warmup_epochs` and falls along a cosine to zero. Schedule step:
    it is divided by ten after each of `lr_milestones` (epochs). Schedule poly: it falls to zero as (1 - progress)^0.9.
    `weight_decay` is decoupled: the fraction of a kernel that one step at learning rate 1 takes away.
    """

    train: DataSource
    val: DataSource | None
    settings: Any
    epochs: int
    task: str = "pose"
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup_epochs: float = 1.0
    seed: int = 0
    precision: str = FLOAT32  # of arithmetic; weights are float32. Not for quantization-aware tuning
    distill_weight: float = 0.0  # the teacher's share of the loss, where there is a teacher
    link_dropout: float = 0.0  # chance of each fusion link to be left out of a training image
    sparsity: float = 0.0  # share of each convolution's weights that become zero
    schedule: str = "cosine"
    lr_milestones: tuple[int, ...] = ()
    accumulate: int = 1  # batches whose gradients are averaged before the weights move, across epochs
    ema: float = 0.0  # momentum of the weights' moving average, which is then what is kept; 0 for none
    freeze: tuple[str, ...] = ()  # parts of the network that stay as they are, such as stem
    keep: str = "last"  # the weights of the last epoch, or of the best by the task's metric
    patience: int = 0  # end after so many epochs that were no better; 0: never
    devices: int = 1  # each is given batch_size items a step; the learning rate grows with them

    def __post_init__(self) -> None:
        kind = settings_class(self.task)
        if not isinstance(self.settings, kind):
            raise TypeError(f"the settings of {self.task} are {kind.__module__}.{kind.__name__}, got {self.settings!r}")
        if self.epochs > MOST_EPOCHS:
            raise HRNetError(f"`epochs` must be at most {MOST_EPOCHS:,}, got {self.epochs}")
        if not 0 <= self.seed < SEEDS:
            raise HRNetError(f"`seed` must be at least 0 and below {SEEDS}, got {self.seed}")
        check_positive(self, "epochs", "batch_size", "learning_rate", "accumulate", "devices")
        check_not_negative(self, "warmup_epochs", "weight_decay", "patience")
        for name in ("link_dropout", "sparsity", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise HRNetError(f"`{name}` must be at least 0 and below 1, got {getattr(self, name)}")
        check_choice(self, "schedule", SCHEDULES)
        check_choice(self, "optimizer", OPTIMIZERS)
        check_choice(self, "keep", KEEP)
        check_choice(self, "precision", PRECISIONS)
        check_fractions(self, "distill_weight")
        if (self.patience or self.keep == "best") and self.val is None:
            raise HRNetError("`patience` and `keep` best go by the accuracy on validation data: give these")
        if self.accumulate > 1 and self.optimizer != "adam":
            raise HRNetError(f"`accumulate` goes with the optimizer adam, not {self.optimizer}")
        self._check_drops()

    @property
    def items_a_step(self) -> int:
        """By all devices together."""
        return self.batch_size * self.devices

    def _check_drops(self) -> None:
        if self.schedule != "step":
            return
        if not self.lr_milestones:
            raise HRNetError("the schedule step needs `lr_milestones`, the epochs at which the learning rate becomes a tenth")
        epochs = (0, *self.lr_milestones, self.epochs)
        if any(before >= after for before, after in itertools.pairwise(epochs)):
            raise HRNetError(
                f"the learning rate cannot drop at {', '.join(map(str, self.lr_milestones))} of {self.epochs} epochs: "
                "give rising `lr_milestones` below `epochs`, or `schedule` cosine"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data, the task's settings among the others."""
        common = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in OWN}
        sources = {"train": self.train.absolute().to_json(), "val": self.val.absolute().to_json() if self.val else None}
        data = {"task": self.task, **sources, **common, **dataclasses.asdict(self.settings)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TrainingConfig:
        """What `to_json` wrote."""
        task = data["task"]
        common = {
            field.name: data[field.name] for field in dataclasses.fields(cls) if field.name in data and field.name not in OWN
        }
        common = {name: tuple(value) if isinstance(value, list) else value for name, value in common.items()}
        val = DataSource.from_json(data["val"]) if data["val"] else None
        return cls(DataSource.from_json(data["train"]), val, stored_settings(task, data), task=task, **common)


def fine_tuning_config(
    parent: Run, sources: tuple[DataSource, DataSource | None], epochs: int, batch_size: int, learning_rate: float, seed: int
) -> TrainingConfig:
    """The parent run's task settings (the defaults where it was imported) with these others; training and validation data."""
    train, val = sources
    task = parent.spec.task
    return TrainingConfig(train, val, run_settings(parent), epochs, task, batch_size, "adam", learning_rate, seed=seed)


def asked_precision(precision: str | None, mixed: bool | None) -> str | None:
    """What is asked for by --precision, or by its short form, --mixed-precision; None where neither is given."""
    short = None if mixed is None else BFLOAT16 if mixed else FLOAT32
    if short and precision not in (None, short):
        raise HRNetError(f"`mixed_precision` is `precision` {BFLOAT16}, which does not go with `precision` {precision}")
    return short or precision


def stored_settings(task: str, config: dict[str, Any], place: str = "config") -> Any:
    """The task's settings that a run with that config learnt by; the defaults where it was imported.

    Raises HRNetError, naming `place` and the setting, where one is of another type.
    """
    return checked({name: config[name] for name in setting_types(task) if name in config}, settings_class(task), place)


def run_settings(run: Run) -> Any:
    """The task's settings that `run` learnt by."""
    return stored_settings(run.spec.task, run.config, f"{run.path / RUN_FILE}: config")
