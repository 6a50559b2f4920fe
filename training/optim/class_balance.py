"""A training whose classes are weighed by how rare they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from training.config import TrainingConfig
from training.tasks.registry import training_task

DIGITS = 4  # of a weight, as it is kept in the run


def balanced(config: TrainingConfig, data: TaskDataset) -> TrainingConfig:
    """The config with the class weights that `class_balance` asks for, of the training data; else as it is.

    Raises HRNetError where class weights are given and are not as many as the data's classes.
    """
    weigh, settings = training_task(config.task).class_weights, config.settings
    if weigh is None:
        return config
    if settings.class_balance:
        weights = tuple(round(float(weight), DIGITS) for weight in weigh(data))
        return dataclasses.replace(config, settings=dataclasses.replace(settings, class_balance=False, class_weights=weights))
    if settings.class_weights and len(settings.class_weights) != len(data.names):
        raise HRNetError(
            f"`class_weights` has {len(settings.class_weights)} numbers, but the data have {len(data.names)} classes"
        )
    return config


def weights_line(weights: Sequence[float], names: Sequence[str], most: int = 12) -> str:
    """The weights as a line to read."""
    listed = [f"{name} {weight:g}" for name, weight in zip(names, weights, strict=True)]
    return f"class weights: {', '.join(listed[:most])}{', ...' if len(listed) > most else ''}"
