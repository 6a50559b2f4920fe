"""Comparison of several models of a task on the same data and the same machine."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from mobile_eval.benchmark.bootstrap import Interval, difference_of_scores, ratio_of_medians
from mobile_eval.benchmark.latency import ROUNDS, LatencyResult, bench_interleaved
from mobile_eval.datasets.base import DataSource, TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, short_names, write_json, write_text
from mobile_eval.model.description import CLASS_SCORES, default_class_names
from mobile_eval.options import checked_options
from mobile_eval.report.chains import with_chain_times
from mobile_eval.report.html import report_html, study_of
from mobile_eval.report.results import ComparedModel, ComparisonResult
from mobile_eval.report.study import check_references, load_arms
from mobile_eval.runtime.backend import CPU, Backend
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import AnyTask, TaskResult
from mobile_eval.tasks.registry import load_for_model, task_of
from mobile_eval.tasks.report import ModelMeasurement

NAMES_SHOWN = 3  # names of labels in a message


def compare(
    paths: Sequence[Path | str],
    dataset: TaskDataset,
    output: Path | str,
    *,
    options: object = None,
    source: DataSource | None = None,
    backend: Backend = CPU,
    rounds: int = ROUNDS,
    command: str = "",
    arms: Path | None = None,
    progress: bool = False,
) -> ComparisonResult:
    """Measure accuracy and latency of models, and write a report.

    Each model is evaluated by its task's `evaluate`, so that figures are the same as those of evaluating it alone. Latencies are
    measured in turns.

    Args:
        paths: Model files of one task.
        dataset: Data set to evaluate on.
        output: Folder for `index.html` and `results.json`.
        options: Evaluation options, an instance of `Task.options`; the defaults for None.
        source: Where the data set lies; the report names it.
        backend: What runs the models.
        rounds: Timed runs of each model.
        command: Command line that the report names.
        arms: Manifest of the study that the models belong to.
        progress: Show progress bars.

    Example:
        >>> compare(["full.tflite", "pruned.tflite"], load_keypoint_dataset("val.json", "images"), "report")  # doctest: +SKIP
    """
    if not paths:
        raise HRNetError("expected at least one model to compare, got none")
    study = load_arms(arms, labels(paths)) if arms else ()
    models = [TFLiteModel(path, backend) for path in paths]
    task = task_of(models[0])
    for model in models:
        check_labels(model, task, dataset)
    if arms:
        precisions = [model.description.precision for model in models]
        check_references(study, dict(zip(labels(paths), precisions, strict=True)), arms)
    folder = check_output_folder(output)
    options = task.options() if options is None else options
    latencies = bench_interleaved(paths, backend, rounds=rounds, progress=progress)
    results = [task.evaluate(model, dataset, options, progress=progress) for model in models]
    results = with_chain_times(results, models, dataset, options, rounds=rounds, progress=progress)
    result = ComparisonResult(
        models=_compared(task, dataset, models, labels(paths), results, latencies),
        task=task,
        dataset=dataset,
        source=source or DataSource(),
        report=folder / "index.html",
        command=command,
        arms=study,
    )
    save_report(result)
    return result


def compare_files(
    paths: Sequence[Path | str],
    source: DataSource,
    output: Path | str,
    *,
    limit: int | None = None,
    options: Mapping[str, object] | None = None,
    backend: Backend = CPU,
    rounds: int = ROUNDS,
    command: str = "",
    arms: Path | None = None,
    progress: bool = False,
) -> ComparisonResult:
    """Do as `compare`, with the data set at `source` and options by name.

    Args:
        paths: Model files of one task.
        source: The data set to evaluate on.
        output: Folder for `index.html` and `results.json`.
        limit: Number of items to evaluate; all for None.
        options: Evaluation options of the models' task by name; those that are missing have their defaults.
        backend: What runs the models.
        rounds: Timed runs of each model.
        command: Command line that the report names.
        arms: Manifest of the study that the models belong to.
        progress: Show progress bars.

    Raises:
        HRNetError: The source or the options do not go with the task of the models.
    """
    if not paths:
        raise HRNetError("expected at least one model to compare, got none")
    first = TFLiteModel(paths[0], backend)
    task = task_of(first)
    task_options = task.options(**checked_options(task.options, options or {}, f"{task.name} models"))
    dataset = load_for_model(first, source, limit)
    return compare(
        paths,
        dataset,
        output,
        options=task_options,
        source=source,
        backend=backend,
        rounds=rounds,
        command=command,
        arms=arms,
        progress=progress,
    )


def check_labels(model: TFLiteModel, task: AnyTask, dataset: TaskDataset) -> None:
    """Raise HRNetError if a model is of another task, or its joints or classes are not those of the data."""
    if task_of(model) is not task:
        raise HRNetError(f"{model.path.name} is a {model.description.task} model, but the first one is for {task.name}")
    labels, names = model.description.label_names, dataset.names
    unnamed = labels == default_class_names(len(labels)) and len(labels) == len(names)
    same = sorted(labels) == sorted(names) if model.description.output.kind == CLASS_SCORES else labels == names
    if not same and not unnamed:
        kind = "classes" if model.description.classes else "joints"
        raise HRNetError(
            f"{model.path.name} finds {len(labels)} {kind} ({_few(labels)}) but the data are of {len(names)} ({_few(names)}); "
            f"give data of the model's {kind}"
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")


def save_report(result: ComparisonResult) -> None:
    """Write the page, and `results.json` beside it."""
    study = study_of(result)
    data = result.to_json()
    write_json(result.report.with_name("results.json"), data if study is None else {**data, "study": study.to_json()})
    write_text(result.report, report_html(result))


def labels(paths: Sequence[Path | str]) -> list[str]:
    """A short name for each file, without its suffix (see `short_names`)."""
    return short_names([Path(path).with_suffix("") for path in paths])


def _compared(
    task: AnyTask,
    dataset: TaskDataset,
    models: Sequence[TFLiteModel],
    names: Sequence[str],
    results: Sequence[TaskResult],
    latencies: Sequence[LatencyResult],
) -> tuple[ComparedModel, ...]:
    """Each model beside its reference, the first model of the same precision."""
    measurements = [task.report().measure(result, dataset) for result in results]
    precisions = [model.description.precision for model in models]
    compared = []
    for index, latency in enumerate(latencies):
        reference = precisions.index(precisions[index])
        base = latencies[reference]
        is_reference = index == reference
        paired = [sample / base_sample for sample, base_sample in zip(latency.samples_ms, base.samples_ms, strict=True)]
        compared.append(
            ComparedModel(
                label=names[index],
                description=models[index].description,
                result=results[index],
                measurement=measurements[index],
                latency=latency,
                reference=reference,
                latency_ratio=latency.p50_ms / base.p50_ms,
                paired_latency_ratio=statistics.median(paired),
                latency_interval=None if is_reference else ratio_of_medians(latency.samples_ms, base.samples_ms),
                score_interval=None if is_reference else _score_interval(task, measurements[index], measurements[reference]),
            )
        )
    return tuple(compared)


def _score_interval(task: AnyTask, measurement: ModelMeasurement, reference: ModelMeasurement) -> Interval | None:
    score = task.report().score_of_sums
    if score is None or measurement.sums is None or reference.sums is None:
        return None
    return difference_of_scores(measurement.sums, reference.sums, score)
