"""The steps from a network to a measured file, on Keras models or on runs.

A Keras model goes with data as `fit` takes them, a run (or the path of its folder) with a data set such as `CocoKeypoints`. On
runs, the functions do what the commands of the same names do. What a step needs is imported when it is called.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from hrnet_tf.backend.types import KerasCallback, KerasModel
    from hrnet_tf.runs.run import Run
    from hrnet_tf.spec.architectures import Network
    from mobile_eval.files import AnyPath
    from mobile_eval.report.results import ComparisonResult
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.base import TaskResult
    from training.data.datasets import Dataset
    from training.execution import Execution

    RunOrPath = Run | AnyPath


def build_model(spec: Network, weights: RunOrPath | None = None) -> KerasModel:
    """Build the Keras model of a spec.

    Args:
        spec: The network, such as `HRNet.preset("pose-w32")` or `run.spec`.
        weights: A run, or its folder, whose weights the model gets; None for initial weights.

    Returns:
        A functional model, not compiled.

    Raises:
        HRNetError: The weights are of another network, or of a quantized one.

    Example:
        >>> build_model(HRNet.preset("pose-small-v1"), weights="runs/full")  # doctest: +SKIP
    """
    from hrnet_tf.models import build
    from hrnet_tf.runs.weights import load_weights, set_model_weights

    model = build.build_model(spec)
    if weights is not None:
        run = _as_run(weights, "weights")
        if run.quantized:
            raise HRNetError(f"`weights` {run.path} is quantized: use `Run.load({str(run.path)!r}).model()`")
        set_model_weights(model, load_weights(run.weights_path))
    return model


def train(
    spec: Network,
    data: Dataset,
    output: AnyPath,
    *,
    recipe: str | None = None,
    execution: Execution | None = None,
    callbacks: Sequence[KerasCallback] = (),
    resume: bool = False,
    init: RunOrPath | None = None,
    teacher: RunOrPath | None = None,
    **settings: object,
) -> Run:
    """Train a network on a data set, into a run.

    Args:
        spec: The network. It gets as many outputs as the data have key points or classes.
        data: The data set, such as `CocoKeypoints`.
        output: Folder of the run.
        recipe: Name of a recipe of the task, or a .yaml file; None for the one that goes with the network.
        execution: Devices, XLA, image cache, workers.
        callbacks: Keras callbacks.
        resume: Whether to continue an interrupted training in `output`.
        init: Run to start from: weights whose name and shape match are copied.
        teacher: Run to distill from.
        settings: Values that replace those of the recipe, such as `epochs`, `batch_size`, `learning_rate` and settings of the
            task.

    Returns:
        The run.

    Raises:
        HRNetError: The data, a setting or the folder cannot be used. For an unknown setting, the message lists the known ones.

    Example:
        >>> data = CocoKeypoints("images", train="train.json", val="val.json")  # doctest: +SKIP
        >>> spec = HRNet.preset("pose-small-v1", input_size=(128, 96))  # doctest: +SKIP
        >>> run = train(spec, data, "runs/full", epochs=30, batch_size=32)  # doctest: +SKIP
    """
    from training.recipe import TEACHER_WEIGHT, default_recipe, load_recipe, recipe_config
    from training.train import train as train_run

    _check_spec(spec)
    _check_data(data, spec.task, f"training {spec.name}")
    how = _execution(execution, callbacks)
    recipe = recipe or default_recipe(spec)
    values = {**({"distill_weight": TEACHER_WEIGHT} if teacher else {}), **settings, "devices": how.devices.count}
    sources = data.source("train"), data.source("val") if data.has("val") else None
    config = recipe_config(spec.task, load_recipe(spec.task, recipe) if recipe else {}, *sources, values)
    init_run, teacher_run = _optional_run(init, "init"), _optional_run(teacher, "teacher")
    return train_run(spec, config, Path(output), init=init_run, teacher=teacher_run, execution=how, resume=resume)


def evaluate(
    model: TFLiteModel | AnyPath,
    data: Dataset,
    *,
    limit: int | None = None,
    threads: int = 1,
    delegate: str | None = None,
    json: AnyPath | None = None,
    progress: bool = False,
    **options: object,
) -> TaskResult:
    """Measure the accuracy of a `.tflite` on the validation set of a data set, by the metrics of its task.

    Args:
        model: The file, or the model.
        data: The data set, such as `CocoKeypoints`.
        limit: Number of items to use, the first ones; None for all.
        threads: Number of CPU threads, where `model` is a path.
        delegate: "edgetpu", or the path of a delegate library, where `model` is a path.
        json: JSON file to write the figures to.
        progress: Whether to show a progress bar.
        options: Options of the task's evaluation, such as `flip=True` for pose.

    Returns:
        The result of the task. `print` shows it; `to_json` and `to_pandas` return its figures.

    Raises:
        HRNetError: The file cannot be run, the data are of another task or have other labels, or an option is unknown.

    Example:
        >>> print(evaluate("pruned-int8.tflite", data))  # doctest: +SKIP
    """
    from mobile_eval.options import checked_options
    from mobile_eval.runtime.backend import Backend, parse_delegate
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.registry import evaluate as evaluate_model
    from mobile_eval.tasks.registry import task_of

    if not isinstance(model, TFLiteModel):
        model = TFLiteModel(_as_file(model), Backend(threads=threads, delegate=parse_delegate(delegate)))
    task = task_of(model)
    _check_data(data, task.name, f"evaluating {model.path.name}")
    task_options = task.options(**checked_options(task.options, options, f"{task.name} models"))
    path = None if json is None else Path(json)
    return evaluate_model(model, data.source("val"), task_options, limit=limit, json=path, progress=progress)


def compare(
    models: Sequence[AnyPath],
    data: Dataset,
    output: AnyPath,
    *,
    limit: int | None = None,
    threads: int = 1,
    delegate: str | None = None,
    rounds: int = 50,
    progress: bool = False,
    **options: object,
) -> ComparisonResult:
    """Compare the accuracy and the latency of `.tflite` files of one task, in an HTML report.

    Args:
        models: The files, the full model first: ratios are to the first file of the same precision.
        data: The data set, such as `CocoKeypoints`; its validation set is used.
        output: Folder for `index.html` and `results.json`.
        limit: Number of items to use, the first ones; None for all.
        threads: Number of CPU threads.
        delegate: "edgetpu", or the path of a delegate library.
        rounds: Number of timed runs of each model; the models take turns.
        progress: Whether to show progress bars.
        options: Options of the task's evaluation.

    Returns:
        The figures of all models. `report` is the path of the page.

    Raises:
        HRNetError: A file cannot be run or is of another task, the data have other labels, or an option is unknown.

    Example:
        >>> result = compare(["full-int8.tflite", "pruned-int8.tflite"], data, "report")  # doctest: +SKIP
        >>> print(result, result.report)  # doctest: +SKIP
    """
    from mobile_eval.report.comparison import compare_files
    from mobile_eval.runtime.backend import Backend, parse_delegate

    _check_data(data, data.task, "comparing files")
    backend = Backend(threads=threads, delegate=parse_delegate(delegate))
    return compare_files(
        [_as_file(model) for model in models],
        data.source("val"),
        Path(output),
        limit=limit,
        options=options,
        backend=backend,
        rounds=rounds,
        progress=progress,
    )


def _execution(execution: Execution | None, callbacks: Sequence[KerasCallback]) -> Execution:
    from training.execution import Execution

    execution = execution or Execution()
    return dataclasses.replace(execution, callbacks=(*execution.callbacks, *callbacks))


def _find_run(model: object) -> Run | None:
    """The run, if `model` is one or the path of one; None for a Keras model."""
    from hrnet_tf.runs.run import Run, load_run

    if isinstance(model, str | os.PathLike):
        return load_run(Path(model))
    return model if isinstance(model, Run) else None


def _as_run(value: object, name: str) -> Run:
    run = _find_run(value)
    if run is None:
        raise HRNetError(f"`{name}` must be a run or the path of its folder, got {type(value).__name__}")
    return run


def _optional_run(value: RunOrPath | None, name: str) -> Run | None:
    return None if value is None else _as_run(value, name)


def _as_file(model: object) -> Path:
    if not isinstance(model, str | os.PathLike):
        raise HRNetError(f"`model` must be a .tflite file or a TFLiteModel, got {type(model).__name__}: convert it first")
    return Path(model)


def _check_spec(spec: object) -> None:
    from hrnet_tf.spec.baseline import SimpleBaselineSpec
    from hrnet_tf.spec.network import HRNetSpec

    if not isinstance(spec, HRNetSpec | SimpleBaselineSpec):
        raise HRNetError(
            f"`spec` must be a spec such as HRNet.preset('pose-w32'), got {type(spec).__name__}; that of a model is `model.spec`"
        )


def _check_data(data: object, task: str, user: str) -> None:
    from training.data.datasets import Dataset

    if not isinstance(data, Dataset):
        raise HRNetError(f"`data` must be a data set such as CocoKeypoints(...) for {user}, got {type(data).__name__}")
    if data.task != task:
        raise HRNetError(f"`data` {type(data).__name__} is for {data.task}; {user} needs data for {task}")
