"""What the arguments of the public functions may be."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from hrnet_tf.backend.types import KerasCallback
    from hrnet_tf.runs.run import Run
    from mobile_eval.files import AnyPath
    from training.config import TrainingConfig
    from training.data.datasets import Dataset
    from training.data.options import TrainingData
    from training.execution import Execution

    RunOrPath = Run | AnyPath


def find_run(model: object) -> Run | None:
    """The run, if `model` is one or the path of one; None for a Keras model."""
    from hrnet_tf.runs.run import Run

    if isinstance(model, str | os.PathLike):
        return Run.load(Path(model))
    return model if isinstance(model, Run) else None


def as_run(value: object, name: str) -> Run:
    """Return the run, if `value` is one or the path of one. Raises HRNetError, naming the parameter, for anything else."""
    run = find_run(value)
    if run is None:
        raise HRNetError(f"`{name}` must be a run or the path of its folder, got {type(value).__name__}")
    return run


def optional_run(value: RunOrPath | None, name: str) -> Run | None:
    """Return the run, as `as_run` does; None for None."""
    return None if value is None else as_run(value, name)


def as_file(model: object) -> Path:
    """Return the path of a file. Raises HRNetError for what has no path, such as a Keras model."""
    if not isinstance(model, str | os.PathLike):
        raise HRNetError(f"`model` must be a .tflite file or a TFLiteModel, got {type(model).__name__}: convert it first")
    return Path(model)


def check_data(data: object, task: str, user: str) -> None:
    """Raise HRNetError unless `data` is a data set for a task.

    Args:
        data: The argument.
        task: Name of the task.
        user: What needs the data, for the message: "evaluating m.tflite".
    """
    from training.data.datasets import Dataset

    if not isinstance(data, Dataset):
        raise HRNetError(f"`data` must be a data set such as CocoKeypoints(...) for {user}, got {type(data).__name__}")
    if data.task != task:
        raise HRNetError(f"`data` {type(data).__name__} is for {data.task}; {user} needs data for {task}")


def check_spec(spec: object) -> None:
    """Raise HRNetError unless `spec` is the spec of a network."""
    from hrnet_tf.spec.baselines.base import BaselineSpec
    from hrnet_tf.spec.network import HRNetSpec

    if not isinstance(spec, HRNetSpec | BaselineSpec):
        raise HRNetError(
            f"`spec` must be a spec such as HRNet.preset('pose-w32'), got {type(spec).__name__}; that of a model is `model.spec`"
        )


def run_files(run: Run, data: Dataset | None) -> TrainingData:
    """Return the files and folders to use instead of the run's: those of a data set, or none for None.

    Args:
        run: The run.
        data: The argument `data`.

    Raises:
        HRNetError: It is no data set, or one for another task.
    """
    from training.data.options import TrainingData

    if data is None:
        return TrainingData()
    check_data(data, run.spec.task, str(run.path))
    return data.files


def execution_of(execution: Execution | None, callbacks: Sequence[KerasCallback]) -> Execution:
    """Return the execution, the default one for None, with further callbacks."""
    from training.execution import Execution

    execution = execution or Execution()
    return dataclasses.replace(execution, callbacks=(*execution.callbacks, *callbacks))


def fine_tuning(run: Run, data: Dataset | None, how: Execution, values: dict[str, object]) -> TrainingConfig:
    """Return the config that fine-tunes a run.

    Args:
        run: The run.
        data: The data set; None for the one that the run was trained on.
        how: How it is run.
        values: Values of the config by name.

    Raises:
        HRNetError: The data or a value cannot be used; for an unknown name, the message lists the known ones.
    """
    from training.config import fine_tuning_config
    from training.data.sources import run_sources

    sources = run_sources(run, run_files(run, data))
    return fine_tuning_config(run, *sources, {**values, "devices": how.devices.count})


def folder_of(output: AnyPath | None) -> Path:
    """Return the folder of a run that is written. Raises HRNetError if none is given."""
    if output is None:
        raise HRNetError("`output`, the folder of the new run, is missing")
    return Path(output)
