"""The learning rate over a training."""

from __future__ import annotations

from typing import Any

from hrnet_tf._keras import keras
from training.config import TrainingConfig

POWER = 0.9  # of the schedule poly (the official segmentation recipes)
DROP = 0.1  # what the learning rate is multiplied by (the official GAMMA1 and LR_FACTOR)


def learning_rates(config: TrainingConfig, steps: int) -> Any:
    """The Keras schedule that a config asks for, where the weights move so many times an epoch; for all its devices."""
    peak = config.learning_rate * config.devices
    if config.schedule == "step":
        rates = [peak * DROP**drops for drops in range(len(config.drops) + 1)]
        return keras.optimizers.schedules.PiecewiseConstantDecay([epoch * steps - 1 for epoch in config.drops], rates)
    if config.schedule == "poly":
        return keras.optimizers.schedules.PolynomialDecay(peak, config.epochs * steps, end_learning_rate=0.0, power=POWER)
    warmup = max(1, round(min(config.warmup_epochs, config.epochs / 4) * steps))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        warmup_target=peak,
        warmup_steps=warmup,
        decay_steps=config.epochs * steps - warmup,
    )
