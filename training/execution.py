"""How a training is carried out, beside what is learnt: on which devices, how compiled, and who looks on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hrnet_tf.spec.memory import MEMORY_BUDGET
from training.engine.strategies import Devices


@dataclass(frozen=True)
class Execution:
    """`jit` compiles the step by XLA. `cache` is a folder for decoded images. `callbacks` are Keras's, your own.

    With `tensorboard` curves and pictures are written to the run's folder of that name. `memory_budget` is how many bytes a
    batch's activations may take in validation.
    """

    devices: Devices = field(default_factory=Devices)
    jit: bool = False
    cache: Path | None = None
    tensorboard: bool = False
    callbacks: tuple[Any, ...] = ()
    memory_budget: int = MEMORY_BUDGET
