"""The learning rate over a training."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.keras_module import keras
from training.config import TrainingConfig

POWER = 0.9  # of the schedule poly (the official segmentation recipes)
DROP = 0.1  # what the learning rate is multiplied by (the official GAMMA1 and LR_FACTOR)


def moves_after(epochs: float, steps: int, accumulate: int) -> int:
    """How often the weights have moved after so many epochs of so many steps: once in `accumulate` of all of these."""
    return int(epochs * steps) // accumulate


def learning_rates(config: TrainingConfig, steps: int) -> Any:
    """The Keras schedule that a config asks for, by the number of the weights' moves; an epoch has so many steps.

    It is for all its devices. It ends with the last move of the whole training: what an epoch gathered and did not use yet, the
    next one does.
    """
    peak, moves = config.learning_rate * config.devices, moves_after(config.epochs, steps, config.accumulate)
    if config.schedule == "step":
        rates = [peak * DROP**drops for drops in range(len(config.lr_milestones) + 1)]
        drops = [moves_after(epoch, steps, config.accumulate) - 1 for epoch in config.lr_milestones]
        return keras.optimizers.schedules.PiecewiseConstantDecay(drops, rates)
    if config.schedule == "poly":
        return keras.optimizers.schedules.PolynomialDecay(peak, moves, end_learning_rate=0.0, power=POWER)
    warmup = max(1, round(min(config.warmup_epochs, config.epochs / 4) * steps / config.accumulate))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        warmup_target=peak,
        warmup_steps=warmup,
        decay_steps=max(1, moves - warmup),
    )
