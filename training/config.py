"""Settings of a training, which its run stores."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.options import listed, option
from mobile_eval.typed import checked
from training.tasks.registry import settings_class
from training.tasks.settings import (
    TaskSettings,
    check_below_one,
    check_choice,
    check_fractions,
    check_not_negative,
    check_positive,
)

if TYPE_CHECKING:
    from hrnet_tf.runs.run import Run

FLOAT32, BFLOAT16, FLOAT16 = PRECISIONS = ("float32", "bfloat16", "float16")
COSINE, STEP, POLY = SCHEDULES = ("cosine", "step", "poly")
ADAM, SGD, RMSPROP = OPTIMIZERS = ("adam", "sgd", "rmsprop")
LAST, BEST = KEEP = ("last", "best")
MAX_EPOCHS = 1_000_000
SEEDS = 2**32  # numpy's seeds are below it
OWN_TYPES = {"precision": str, "seed": int, "devices": int}  # of the values that are in no part

# Headings in --help.
SCHEDULE, OPTIMIZATION, REGULARIZATION = "Schedule", "Optimizer", "Regularization"
CHECKPOINTS, EXECUTION = "Checkpoints", "Execution"


@dataclass(frozen=True)
class DataConfig:
    """What is trained on.

    Args:
        train: The training set.
        val: The validation set; None for no validation.
        batch_size: Number of examples in a step, on each device.
    """

    train: DataSource
    val: DataSource | None = None
    batch_size: int = option(32, "Number of examples per step and device.", minimum=1, panel=SCHEDULE)

    def __post_init__(self) -> None:
        check_positive(self, "batch_size")


@dataclass(frozen=True)
class ScheduleConfig:
    """How long is trained, and the learning rate over that time.

    The schedule cosine rises linearly over `warmup_epochs` and falls along a cosine to zero. step multiplies by `lr_factor` at
    each of `lr_milestones`. poly falls to zero as (1 - progress)^0.9.
    """

    epochs: int = option(1, "Number of epochs.", minimum=1, panel=SCHEDULE)
    learning_rate: float = option(1e-3, "Peak learning rate, for one device.", panel=SCHEDULE)
    lr_schedule: str = option(COSINE, "Learning rate schedule: cosine, step or poly.", panel=SCHEDULE, choices=SCHEDULES)
    warmup_epochs: float = option(1.0, "Linear warm-up in epochs (cosine only).", panel=SCHEDULE)
    lr_milestones: tuple[int, ...] = option(
        (), "Epochs after which the learning rate is multiplied by the factor (step only), such as 170,200.", panel=SCHEDULE
    )

    lr_factor: float = option(0.1, "Factor of the learning rate at each milestone (step only).", panel=SCHEDULE)

    def __post_init__(self) -> None:
        check_positive(self, "epochs", "learning_rate", "lr_factor")
        check_not_negative(self, "warmup_epochs")
        check_choice(self, "lr_schedule", SCHEDULES)
        if self.epochs > MAX_EPOCHS:
            raise HRNetError(f"`epochs` must be at most {MAX_EPOCHS:,}, got {self.epochs}")
        if self.lr_schedule == STEP:
            self._check_milestones()

    def _check_milestones(self) -> None:
        if not self.lr_milestones:
            raise HRNetError("`lr_schedule` step needs `lr_milestones`, the epochs after which the learning rate falls")
        epochs = (0, *self.lr_milestones, self.epochs)
        if any(before >= after for before, after in itertools.pairwise(epochs)):
            raise HRNetError(
                f"`lr_milestones` must rise from 1 to below `epochs`, got {', '.join(map(str, self.lr_milestones))} "
                f"for {self.epochs} epochs; or give `lr_schedule` cosine"
            )


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer. `weight_decay` is decoupled: the fraction of a kernel that a step at learning rate 1 takes away."""

    optimizer: str = option(
        ADAM, "Optimizer; sgd has momentum 0.9, rmsprop averages over 100 steps.", panel=OPTIMIZATION, choices=OPTIMIZERS
    )
    weight_decay: float = option(0.0, "Decoupled weight decay of kernels.", panel=OPTIMIZATION)
    accumulate: int = option(1, "Gradient accumulation steps (adam only).", minimum=1, panel=OPTIMIZATION)
    ema: float = option(0.0, "Momentum of the average of the weights to validate and save, as 0.999.", panel=OPTIMIZATION)

    def __post_init__(self) -> None:
        check_choice(self, "optimizer", OPTIMIZERS)
        check_not_negative(self, "weight_decay")
        check_positive(self, "accumulate")
        check_below_one(self, "ema")
        if self.accumulate > 1 and self.optimizer != ADAM:
            raise HRNetError(f"`accumulate` needs `optimizer` adam, got {self.optimizer}")


@dataclass(frozen=True)
class RegularizationConfig:
    """What is trained besides the task's loss, and what is not trained.

    Args:
        link_dropout: Probability to drop each fusion link for an image.
        elastic: Share of the batches in which random parts of the network are missing (`training.elastic`).
        sparsity: Fraction of the weights of each convolution that become zero.
        freeze: Parts of the network whose weights and statistics stay as they are, such as stem.
        distill_weight: Weight of the teacher in the loss, where there is a teacher.
    """

    link_dropout: float = option(0.0, "Probability of dropping each fusion link, to prepare for pruning.", panel=REGULARIZATION)
    elastic: float = option(0.0, "Share of the batches that train random smaller networks.", panel=REGULARIZATION)
    sparsity: float = option(0.0, "Fraction of the weights of each convolution to set to zero.", panel=REGULARIZATION)
    freeze: tuple[str, ...] = option((), "Parts of the network to freeze, such as stem,stage2.", panel=REGULARIZATION)
    distill_weight: float = option(0.0, "Weight of the teacher in the loss, from 0 to 1.", panel=REGULARIZATION)

    def __post_init__(self) -> None:
        check_below_one(self, "link_dropout", "sparsity")
        check_fractions(self, "distill_weight", "elastic")


@dataclass(frozen=True)
class CheckpointConfig:
    """Which weights the run keeps, and when training stops early."""

    keep: str = option(LAST, "Weights to keep: of the last epoch, or of the best by the metric.", panel=CHECKPOINTS, choices=KEEP)
    patience: int = option(0, "Number of epochs without improvement before stopping; 0: never.", panel=CHECKPOINTS)

    def __post_init__(self) -> None:
        check_choice(self, "keep", KEEP)
        check_not_negative(self, "patience")


@dataclass(frozen=True)
class TrainingConfig:
    """All settings of a training that decide its result.

    A run stores them as one flat object of names and values. Recipes, options of the command line and messages use the same
    names, so every name is in one part only.

    Args:
        task: Name of the task.
        settings: Settings of the task.
        data: Data and batch size.
        schedule: Epochs and learning rate.
        optimization: Optimizer.
        regularization: Dropout of links, sparsity, frozen parts and distillation.
        checkpoint: Which weights are kept.
        precision: Compute precision; the weights are float32.
        seed: Seed of everything random.
        devices: Number of devices. Each one takes `batch_size` examples per step, and the learning rate grows with them.

    Example:
        >>> data = DataConfig(DataSource(Path("images"), Path("train.json")))  # doctest: +SKIP
        >>> config = TrainingConfig("pose", PoseSettings(), data, ScheduleConfig(epochs=30))  # doctest: +SKIP
        >>> config.replace(epochs=10, learning_rate=5e-4).schedule.epochs  # doctest: +SKIP
        10
    """

    task: str
    settings: TaskSettings
    data: DataConfig
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    optimization: OptimizerConfig = field(default_factory=OptimizerConfig)
    regularization: RegularizationConfig = field(default_factory=RegularizationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    precision: str = option(
        FLOAT32, "Compute precision: float32, bfloat16, or float16 (with loss scaling).", panel=EXECUTION, choices=PRECISIONS
    )
    seed: int = option(0, "Seed of everything random.", panel=EXECUTION)
    devices: int = 1

    def __post_init__(self) -> None:
        expected = settings_class(self.task)
        if not isinstance(self.settings, expected):
            raise TypeError(f"the settings of {self.task} are {expected.__module__}.{expected.__name__}, got {self.settings!r}")
        if not 0 <= self.seed < SEEDS:
            raise HRNetError(f"`seed` must be at least 0 and below {SEEDS}, got {self.seed}")
        check_positive(self, "devices")
        check_choice(self, "precision", PRECISIONS)
        if (self.checkpoint.patience or self.checkpoint.keep == BEST) and self.data.val is None:
            raise HRNetError("`patience` and `keep` best need validation data")

    @property
    def step_items(self) -> int:
        """Number of examples in a step of all devices together."""
        return self.data.batch_size * self.devices

    def replace(self, **changes: object) -> TrainingConfig:
        """Return a copy with other values, each by its name alone, whatever part it is in."""
        return TrainingConfig.from_values(self.task, {**self.values(), **changes})

    def values(self) -> dict[str, object]:
        """Return all values by name but the task: those of the parts and of the settings too."""
        parts = (getattr(self, name) for name in part_classes(self.task))
        common = {name: getattr(self, name) for name in OWN_TYPES}
        return functools.reduce(lambda values, part: {**values, **_fields(part)}, parts, common)

    @classmethod
    def from_values(cls, task: str, values: Mapping[str, object]) -> TrainingConfig:
        """Make a config from values by name, with defaults for the others.

        Args:
            task: Name of the task.
            values: Values by name: `train` and `val` are data sources; task settings are among them. `settings` stands for all
                settings of the task at once.

        Raises:
            HRNetError: A name is unknown, or a value has the wrong type or is out of range.
        """
        values, parts, types = dict(values), part_classes(task), value_types(task)
        if isinstance(settings := values.pop("settings", None), TaskSettings):
            values |= _fields(settings)
        if unknown := next((name for name in values if name not in types), None):
            raise HRNetError(f"`{unknown}` is not a setting of {task}; it has {listed(types)}")
        values = {name: checked(value, types[name], f"`{name}`") for name, value in values.items()}
        made = {name: part(**_named(values, _names(part))) for name, part in parts.items()}
        return cls(task=task, **made, **_named(values, OWN_TYPES))

    def to_json(self) -> dict[str, object]:
        """Return plain data: all values by name."""
        train, val = self.data.train, self.data.val
        sources = {"train": train.absolute().to_json(), "val": val.absolute().to_json() if val else None}
        data = {"task": self.task, **self.values(), **sources}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainingConfig:
        """Read what `to_json` returned."""
        values = {name: value for name, value in data.items() if name != "task"}
        sources = {name: DataSource.from_json(data[name]) if data[name] else None for name in ("train", "val")}
        return cls.from_values(data["task"], {**values, **sources})


def part_classes(task: str) -> dict[str, type[Any]]:
    """Return the dataclasses of a config's parts by the name of the field, those of a task's settings among them."""
    return {
        "data": DataConfig,
        "schedule": ScheduleConfig,
        "optimization": OptimizerConfig,
        "regularization": RegularizationConfig,
        "checkpoint": CheckpointConfig,
        "settings": settings_class(task),
    }


def value_types(task: str) -> dict[str, Any]:
    """Return the type of each value of a config by its name, those of a task's settings among them."""
    types: dict[str, Any] = {}
    for part in part_classes(task).values():
        hints = typing.get_type_hints(part)
        types |= {name: hints[name] for name in _names(part)}
    return types | OWN_TYPES


def fine_tuning_config(parent: Run, train: DataSource, val: DataSource | None, values: Mapping[str, object]) -> TrainingConfig:
    """Return the config that fine-tunes a run, with the settings of its task.

    Args:
        parent: The run.
        train: The training set.
        val: The validation set, if any.
        values: Other values by name.
    """
    sources = {"train": train, "val": val}
    return TrainingConfig.from_values(parent.spec.task, {"settings": run_settings(parent), **sources, **values})


def stored_settings(task: str, config: Mapping[str, object], place: str = "config") -> TaskSettings:
    """Return the settings of a task in a run's config; the defaults for those that are missing, as in an imported run.

    Args:
        task: Name of the task.
        config: A run's config.
        place: Where it is, for messages.

    Raises:
        HRNetError: A setting has the wrong type or is out of range.
    """
    kind = settings_class(task)
    settings: TaskSettings = checked({name: config[name] for name in _names(kind) if name in config}, kind, place)
    return settings


def run_settings(run: Run) -> TaskSettings:
    """Return the task settings that a run was trained with."""
    from hrnet_tf.runs.run import RUN_FILE

    return stored_settings(run.spec.task, run.config, f"{run.path / RUN_FILE}: config")


def _named(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _names(part: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(part)]


def _fields(part: Any) -> dict[str, object]:
    return {name: getattr(part, name) for name in _names(type(part))}
