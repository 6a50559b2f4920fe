"""Train a network into a run, from scratch or from another run's weights."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

from hrnet_tf.backend.choice import check_same_keras
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, model_weights, set_model_weights
from hrnet_tf.spec.architectures import Network
from mobile_eval.datasets.base import TaskDataset, log_skipped
from mobile_eval.errors import HRNetError
from mobile_eval.words import number_of
from training.config import TrainingConfig
from training.engine.device import device_line
from training.engine.fit import build_for_training, build_teacher, check_category, fit, load_data
from training.engine.inputs import inputs_of
from training.engine.starting import check_startable
from training.execution import Execution
from training.tasks.class_balance import class_weights_line, with_balanced_classes
from training.tasks.registry import training_task

logger = logging.getLogger(__name__)


def train(
    spec: Network,
    config: TrainingConfig,
    output: Path | str,
    *,
    init: Run | None = None,
    teacher: Run | None = None,
    execution: Execution | None = None,
    resume: bool = False,
) -> Run:
    """Train `spec`, with as many answers as the data have joints or classes, and keep it in the folder `output`.

    With `init` it starts from that run's weights, as far as they have a place in it. With `teacher`,
    `config.distill_weight` is the share of the loss that is that run's answers.
    """
    how = execution or Execution()
    check_same_keras(*how.callbacks)
    if how.devices.count != config.devices:
        raise HRNetError(f"the config is for {config.devices} devices, but there are {how.devices.count}")
    if how.devices.count > 1 and config.accumulate > 1:
        raise HRNetError("`accumulate` goes with one device: with several, a larger `batch_size` does the same")
    if config.task != spec.task:
        raise HRNetError(f"{spec.name} is for {spec.task}, but the settings are for {config.task}")
    if how.devices.is_chief:
        check_startable(Path(output), "train", resume=resume)
    train_data, val_data = load_data(config)
    requested = config
    settings = with_balanced_classes(training_task(config.task), config.settings, train_data)
    config = dataclasses.replace(config, settings=settings)
    spec = dataclasses.replace(spec, classes=len(train_data.names))
    parent = str(init.path) if init else None
    inputs = inputs_of(config, train_data, val_data, parent=init, teacher=teacher)
    run = Run(Path(output), "train", spec, train_data.label_schema, config.to_json(), parent, inputs)
    keras.utils.set_random_seed(config.seed)
    with how.devices.scope():
        model = build_for_training(spec, config)
        taught_by = build_teacher(teacher, config) if teacher else None
    if init:
        load_matching_weights(model, init)
    if teacher:
        check_category(teacher, train_data)
    if how.devices.is_chief:
        logger.info(device_line(how.devices))
        logger.info(dataset_summary(train_data, training_task(spec.task).noun))
        log_skipped(config.val, val_data)
        if config != requested:
            logger.info(class_weights_line(config.settings.class_weights, train_data.names))
    fit(run, model, config, train_data, val_data, taught_by, how)
    return run


def dataset_summary(data: TaskDataset, noun: str) -> str:
    """How many items there are, and what of the files is none."""
    return f"{number_of(len(data), noun)} to learn from{f' ({data.skipped_summary})' if data.skipped_summary else ''}"


def load_matching_weights(model: Any, run: Run) -> None:
    """Give `model` the weights of `run` that it has a variable of the same name and shape for, such as another head's trunk.

    Raises HRNetError where they do not even share the stem.
    """
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized; start from the run it came from: {run.parent}")
    own, given = model_weights(model), load_weights(run.weights_path)
    fitting = {name: array for name, array in given.items() if name in own and array.shape == own[name].shape}
    if not any(name.startswith("stem_") and name.endswith("/kernel") for name in fitting):
        raise HRNetError(f"{run.path} is of another architecture or width: none of its stem's weights fit")
    set_model_weights(model, {**own, **fitting})
