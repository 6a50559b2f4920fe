"""Accuracy of files, alone and compared, and the times of their operators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_tf.api.arguments import as_file, check_data

if TYPE_CHECKING:
    from mobile_eval.benchmark.profile import ProfileResult
    from mobile_eval.files import AnyPath
    from mobile_eval.report.results import ComparisonResult
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.base import TaskResult
    from training.data.datasets import Dataset


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
        model = TFLiteModel(as_file(model), Backend(threads=threads, delegate=parse_delegate(delegate)))
    task = task_of(model)
    check_data(data, task.name, f"evaluating {model.path.name}")
    task_options = task.options(**checked_options(task.options, options, f"{task.name} models"))
    path = None if json is None else Path(json)
    return evaluate_model(model, data.source("val"), task_options, limit=limit, json=path, progress=progress)


def profile(
    model: AnyPath,
    *,
    threads: int = 1,
    delegate: str | None = None,
    rounds: int = 50,
    json: AnyPath | None = None,
    progress: bool = False,
) -> ProfileResult:
    """Time every operator of a `.tflite` on this machine.

    Run it on the target, on the file of the full network: `plan` and `prune` take the result as `profile`, to predict latency.

    Args:
        model: The file, any `.tflite`.
        threads: Number of CPU threads.
        delegate: "edgetpu", or the path of a delegate library; None for the CPU.
        rounds: Number of timed runs of each operator; operators take turns.
        json: JSON file to write the profile to.
        progress: Whether to show a progress bar.

    Returns:
        The time of each operator, and of the parts of the network.

    Raises:
        HRNetError: The file cannot be read or run.

    Example:
        >>> print(profile("full-int8.tflite", json="profile.json"))  # doctest: +SKIP
        >>> plan(model, ranking, keep_latency=0.7, profile="profile.json")  # doctest: +SKIP
    """
    from mobile_eval.benchmark.profile import profile as profile_file
    from mobile_eval.files import check_output_file, write_json
    from mobile_eval.runtime.backend import Backend, parse_delegate

    check_output_file(json)
    backend = Backend(threads=threads, delegate=parse_delegate(delegate))
    result = profile_file(as_file(model), backend, rounds=rounds, progress=progress)
    if json is not None:
        write_json(json, result.to_json())
    return result


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

    check_data(data, data.task, "comparing files")
    backend = Backend(threads=threads, delegate=parse_delegate(delegate))
    return compare_files(
        [as_file(model) for model in models],
        data.source("val"),
        Path(output),
        limit=limit,
        options=options,
        backend=backend,
        rounds=rounds,
        progress=progress,
    )
