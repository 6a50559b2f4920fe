"""Training a network into a run, from scratch or from the weights of another run."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from hrnet_tf.backend.choice import check_same_keras, check_tf_keras
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import TaskDataset, log_skipped
from mobile_eval.errors import HRNetError
from mobile_eval.messages import number_of
from training.config import TrainingConfig
from training.engine.device import device_line
from training.engine.fit import fit
from training.engine.inputs import check_category, inputs_of, load_data
from training.engine.networks import build_for_training, build_teacher, load_matching_weights
from training.engine.starting import check_startable
from training.execution import Execution, check_devices
from training.tasks.class_balance import class_weights_line, with_balanced_classes
from training.tasks.registry import training_task
from training.tasks.settings import ClassWeightSettings

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
    """Train a network.

    Args:
        spec: The network. It gets as many outputs as the data have joints or classes.
        config: Its settings.
        output: Folder of the run.
        init: Run to start from: weights whose name and shape match are copied.
        teacher: Run to distill from, with the weight `distill_weight`.
        execution: How to run the training.
        resume: Go on with the interrupted run in the folder.

    Returns:
        The run.

    Raises:
        HRNetError: The settings, the data or the folder cannot be used.

    Example:
        >>> config = recipe_config("pose", load_recipe("pose", "small"), train_source, None, {})  # doctest: +SKIP
        >>> run = train(preset("pose-small-v1"), config, "runs/full")  # doctest: +SKIP
    """
    output, execution = Path(output), execution or Execution()
    check_trainable(spec, config, execution)
    if execution.devices.is_chief:
        check_startable(output, "train", resume=resume)
    train_data, val_data = load_data(config)
    requested = config
    config = config.replace(settings=with_balanced_classes(training_task(config.task), config.settings, train_data))
    spec = dataclasses.replace(spec, classes=len(train_data.names))
    inputs, parent = inputs_of(config, train_data, val_data, parent=init, teacher=teacher), str(init.path) if init else None
    run = Run(output, "train", spec, train_data.label_schema, config.to_json(), parent, inputs)
    keras.utils.set_random_seed(config.seed)
    with execution.devices.scope():
        model = build_for_training(spec, config)
        teacher_model = build_teacher(teacher, config) if teacher else None
    if init:
        load_matching_weights(model, init)
    if teacher:
        check_category(teacher, train_data)
    if execution.devices.is_chief:
        logger.info(device_line(execution.devices))
        logger.info(dataset_summary(train_data, training_task(spec.task).noun))
        log_skipped(config.data.val, val_data)
        _log_class_weights(config, requested, train_data)
    fit(run, model, config, train_data, val_data, teacher_model, execution)
    return run


def _log_class_weights(config: TrainingConfig, requested: TrainingConfig, data: TaskDataset) -> None:
    """Log the class weights of a config if they are not those requested, but computed from the data."""
    if isinstance(config.settings, ClassWeightSettings) and config.settings != requested.settings:
        logger.info(class_weights_line(config.settings.class_weights, data.names))


def check_trainable(spec: Network, config: TrainingConfig, execution: Execution) -> None:
    """Raise HRNetError where a spec, a config and an execution do not go together."""
    check_same_keras(*execution.callbacks)
    check_devices(config, execution)
    if config.task != spec.task:
        raise HRNetError(f"{spec.name} is for {spec.task}, but the settings are for {config.task}")
    if config.regularization.elastic:
        check_tf_keras("`elastic`")
        if not isinstance(spec, HRNetSpec):
            raise HRNetError(f"`elastic` trains smaller networks inside an HRNet, got {spec.name}")


def dataset_summary(data: TaskDataset, noun: str) -> str:
    """Return a line with the number of training items, and which parts of the files were skipped."""
    return f"training on {number_of(len(data), noun)}{f' ({data.skipped_summary})' if data.skipped_summary else ''}"
