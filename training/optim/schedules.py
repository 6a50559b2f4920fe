"""Learning rate schedules."""

from __future__ import annotations

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasSchedule
from training.config import POLY, STEP, TrainingConfig

POLY_POWER = 0.9  # the official segmentation recipes'
MAX_WARMUP = 0.25  # of the training


def updates_after(epochs: float, steps: int, accumulate: int) -> int:
    """Return the number of updates of the weights after a number of epochs: one in `accumulate` of all their steps."""
    return int(epochs * steps) // accumulate


def learning_rates(config: TrainingConfig, steps: int) -> KerasSchedule:
    """Return the Keras schedule of a config, by the number of updates of the weights.

    It ends with the last update of the training. Gradients that are left at the end of an epoch count towards the next update.

    Args:
        config: The config. The learning rate is multiplied by its number of devices.
        steps: Number of steps per epoch.
    """
    schedule, accumulate = config.schedule, config.optimization.accumulate
    peak, updates = schedule.learning_rate * config.devices, updates_after(schedule.epochs, steps, accumulate)
    if schedule.lr_schedule == STEP:
        rates = [peak * schedule.lr_factor**number for number in range(len(schedule.lr_milestones) + 1)]
        boundaries = [updates_after(epoch, steps, accumulate) - 1 for epoch in schedule.lr_milestones]
        return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates)
    if schedule.lr_schedule == POLY:
        return keras.optimizers.schedules.PolynomialDecay(peak, updates, end_learning_rate=0.0, power=POLY_POWER)
    warmup_epochs = min(schedule.warmup_epochs, schedule.epochs * MAX_WARMUP)
    warmup = max(1, round(warmup_epochs * steps / accumulate))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        warmup_target=peak,
        warmup_steps=warmup,
        decay_steps=max(1, updates - warmup),
    )
