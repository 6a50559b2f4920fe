"""How to run a training: devices, XLA, input workers, image cache, callbacks and memory."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from hrnet_tf.backend.types import KerasCallback
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.errors import HRNetError
from training.config import TrainingConfig
from training.engine.strategies import Devices

DEFAULT_WORKERS = 2 if (os.cpu_count() or 1) < 4 else 4  # more threads would wait for Python's lock


@dataclass(frozen=True)
class Execution:
    """What does not decide the result of a training, but how it runs. `train`, `prune` and `quantize` take the same.

    Args:
        devices: The devices to train on.
        jit: Compile the training step with XLA.
        cache: Folder for decoded images, so that each one is decoded only once; None for no cache.
        tensorboard: Write curves and pictures to the folder `tensorboard` of the run.
        callbacks: Keras callbacks of your own. They see the metric of the validation in their logs.
        workers: Number of threads that decode and augment images.
        memory_budget: Memory in bytes for the activations of a batch outside of training steps.

    Example:
        >>> Execution(callbacks=(keras.callbacks.LambdaCallback(),), workers=8)  # doctest: +SKIP
    """

    devices: Devices = field(default_factory=Devices)
    jit: bool = False
    cache: Path | None = None
    tensorboard: bool = False
    callbacks: tuple[KerasCallback, ...] = ()
    workers: int = DEFAULT_WORKERS
    memory_budget: int = MEMORY_BUDGET

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise HRNetError(f"`workers` must be at least 1, got {self.workers}")


def check_devices(config: TrainingConfig, execution: Execution) -> None:
    """Raise HRNetError where the devices of an execution are not as many as a config is for, or cannot do what it needs."""
    count = execution.devices.count
    if count != config.devices:
        raise HRNetError(f"the config is for {config.devices} devices, but the execution has {count}")
    if count > 1 and config.optimization.accumulate > 1:
        raise HRNetError("`accumulate` needs one device: on several, a larger `batch_size` has the same effect")
