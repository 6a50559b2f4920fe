"""How pruning and quantization fine-tune a run: values of its config, beside those of its task. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.options import redeclared
from training.config import (
    CheckpointConfig,
    DataConfig,
    RegularizationConfig,
    ScheduleConfig,
    TrainingConfig,
)
from training.tasks.pose.settings import HeatmapSettings


@dataclass(frozen=True)
class FineTuningOptions:
    """What the fine-tuning of every step has; each field is an option of the command line and an argument in Python."""

    epochs: int = redeclared(ScheduleConfig, "epochs", 10)
    batch_size: int = redeclared(DataConfig, "batch_size", 32)
    learning_rate: float = redeclared(ScheduleConfig, "learning_rate", 5e-4)
    keep: str = redeclared(CheckpointConfig, "keep", "last")
    patience: int = redeclared(CheckpointConfig, "patience", 0)
    flip_pairs: str | None = redeclared(HeatmapSettings, "flip_pairs", None)
    seed: int = redeclared(TrainingConfig, "seed", 1)

    def values(self) -> dict[str, object]:
        """Return the values by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class PruneTuningOptions(FineTuningOptions):
    """Values of the config that fine-tunes a pruned run."""

    distill_weight: float = redeclared(RegularizationConfig, "distill_weight", 0.5)
    sparsity: float = redeclared(RegularizationConfig, "sparsity", 0.0)
    precision: str = redeclared(TrainingConfig, "precision", "float32")


@dataclass(frozen=True)
class QuantizeTuningOptions(FineTuningOptions):
    """Values of the config of quantization-aware training."""

    epochs: int = redeclared(ScheduleConfig, "epochs", 3)
    learning_rate: float = redeclared(ScheduleConfig, "learning_rate", 2e-5)
    seed: int = redeclared(TrainingConfig, "seed", 2)
