"""Several models of a task on the same data and the same machine, side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from mobile_eval.benchmark.bootstrap import Interval, difference_of_scores, ratio_of_medians
from mobile_eval.benchmark.latency import ROUNDS, LatencyResult, bench_interleaved
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, write_json, write_text
from mobile_eval.model.description import CLASS_SCORES, ModelDescription, default_class_names
from mobile_eval.report.html import report_html
from mobile_eval.report.results import ComparedModel, ComparisonResult
from mobile_eval.report.study import check_references, load_arms
from mobile_eval.report.task_report import Comparing, Measured
from mobile_eval.runtime.backend import CPU, Backend
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import Asked, read_asked
from mobile_eval.tasks.registry import comparing_of, task_named, task_of


def compare(
    paths: Sequence[Path | str],
    dataset: TaskDataset,
    output: Path | str,
    *,
    asked: Asked | None = None,
    backend: Backend = CPU,
    rounds: int = ROUNDS,
    command: str = "",
    arms: Path | None = None,
    progress: bool = False,
) -> ComparisonResult:
    """Measure the models' accuracy on `dataset` and their latency turn by turn; write the report into folder `output`.

    `asked` holds the options of evaluating; where the data lie by it, and `command`, are named in the report. `arms` is the
    manifest of a study that the models are of.
    """
    if not paths:
        raise HRNetError("expected at least one model to compare, got none")
    study = load_arms(arms, labels(paths)) if arms else ()
    models = [TFLiteModel(path, backend) for path in paths]
    task = models[0].description.task
    for model in models:
        check_answers(model, task, dataset)
    if arms:
        precisions = [model.description.precision for model in models]
        check_references(study, dict(zip(labels(paths), precisions, strict=True)), arms)
    folder = check_output_folder(output)
    comparing, asked = comparing_of(task), asked or Asked()
    latencies = bench_interleaved(paths, backend, rounds=rounds, progress=progress)
    found = [comparing.measure(model, dataset, asked, progress) for model in models]
    result = ComparisonResult(
        models=_compared([model.description for model in models], labels(paths), found, latencies, comparing),
        task=task,
        dataset=dataset,
        asked=asked,
        command=command,
        arms=study,
    )
    save_report(result, folder)
    return result


def compare_files(
    paths: Sequence[Path | str],
    asked: Asked,
    output: Path | str,
    *,
    backend: Backend = CPU,
    rounds: int = ROUNDS,
    command: str = "",
    arms: Path | None = None,
    progress: bool = False,
) -> ComparisonResult:
    """As `compare`, on the data that are asked for; HRNetError where these do not fit the models' task."""
    if not paths:
        raise HRNetError("expected at least one model to compare, got none")
    first = TFLiteModel(paths[0], backend)
    task = task_of(first)
    task.check(first, asked)
    data = read_asked(task.load, first, asked)
    return compare(
        paths, data, output, asked=asked, backend=backend, rounds=rounds, command=command, arms=arms, progress=progress
    )


def check_answers(model: TFLiteModel, task: str, dataset: TaskDataset) -> None:
    """Refuse a model of another task than the first's, or of other joints or classes than the data."""
    if task_of(model) is not task_named(task):
        raise HRNetError(f"{model.path.name} is a {model.description.task} model, but the first one is for {task}")
    own, names = model.description.label_names, dataset.names
    unnamed = own == default_class_names(len(own)) and len(own) == len(names)
    same = sorted(own) == sorted(names) if model.description.output.kind == CLASS_SCORES else own == names
    if not same and not unnamed:
        kind = "classes" if model.description.classes else "joints"
        raise HRNetError(
            f"{model.path.name} finds {len(own)} {kind} ({listed(own)}) but the data are of {len(names)} ({listed(names)}); "
            f"give data of the model's {kind}"
        )


def listed(names: Sequence[str]) -> str:
    """The first names, and whether there are more."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def save_report(result: ComparisonResult, folder: Path) -> None:
    """Write `results.json` and `index.html` into `folder`."""
    write_json(folder / "results.json", result.to_json())
    write_text(folder / "index.html", report_html(result))


def labels(paths: Sequence[Path | str]) -> list[str]:
    """A short name for each file: its stem, with as many folders before it as make the names differ."""
    parts = [Path(path).with_suffix("").parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise HRNetError(f"the same model is given twice: {', '.join(map(str, paths))}")


def _compared(
    descriptions: Sequence[ModelDescription],
    names: Sequence[str],
    found: Sequence[Measured],
    latencies: Sequence[LatencyResult],
    comparing: Comparing,
) -> tuple[ComparedModel, ...]:
    precisions = [description.precision for description in descriptions]
    models = []
    for index, latency in enumerate(latencies):
        reference = precisions.index(precisions[index])
        base = latencies[reference]
        paired = [own / other for own, other in zip(latency.samples_ms, base.samples_ms, strict=True)]
        ratios = latency.p50_ms / base.p50_ms, statistics.median(paired)
        intervals: tuple[Interval | None, Interval | None] = (None, None)
        if index != reference:
            own, other = found[index].sums, found[reference].sums
            scores = difference_of_scores(own, other, comparing.figure) if own is not None and other is not None else None
            intervals = ratio_of_medians(latency.samples_ms, base.samples_ms), scores
        models.append(ComparedModel(names[index], descriptions[index], found[index], latency, reference, *ratios, *intervals))
    return tuple(models)
