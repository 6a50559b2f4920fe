"""Report of several devices: models by devices, from the `results.json` that `hrnet compare` wrote on each."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.benchmark.bootstrap import Interval
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, read_json, write_json, write_text
from mobile_eval.messages import number_of
from mobile_eval.report.figures import Figure, scatter_figure
from mobile_eval.report.html import template
from mobile_eval.typed import brief, checked
from mobile_eval.viz.scatter import Point
from mobile_eval.viz.svg import PALETTE


@dataclass(frozen=True)
class LatencyEntry:
    """Latency of a model in `results.json`, in milliseconds."""

    p50_ms: float
    p90_ms: float

    def __post_init__(self) -> None:
        if not 0 < self.p50_ms <= self.p90_ms:
            raise HRNetError(f"expected 0 < p50_ms <= p90_ms, got {self.p50_ms:g} and {self.p90_ms:g}")


@dataclass(frozen=True)
class DescriptionEntry:
    """The part of a model's description that the report reads."""

    precision: str


@dataclass(frozen=True)
class ModelEntry:
    """A model in `results.json`. `reference` is the label of the model that its ratio is to; a reference has no intervals."""

    label: str
    reference: str
    description: DescriptionEntry
    latency: LatencyEntry
    latency_ratio: float
    score: float | None = None
    latency_ratio_interval: Interval | None = None
    score_difference_interval: Interval | None = None


@dataclass(frozen=True)
class EnvironmentEntry:
    """The device in `results.json`, and when it measured."""

    processor: str
    architecture: str
    date: str


@dataclass(frozen=True)
class MetricEntry:
    """The task's metric in `results.json`."""

    name: str


@dataclass(frozen=True)
class DeviceResults:
    """The part of a `results.json` that the report reads."""

    environment: EnvironmentEntry
    runtime: str
    threads: int
    models: tuple[ModelEntry, ...]
    items: int
    metric: MetricEntry

    def __post_init__(self) -> None:
        labels = {model.label for model in self.models}
        if not self.models or len(labels) < len(self.models):
            raise HRNetError(f"its models are {brief([model.label for model in self.models])}: expected different ones")
        unknown = next((model for model in self.models if model.reference not in labels), None)
        if unknown is not None:
            raise HRNetError(f"{unknown.label} is compared with {unknown.reference}, which is not there")


def read_results(path: Path) -> DeviceResults:
    """Read a `results.json`; HRNetError names the file and the entry that is wrong."""
    where = f"{path} is not the results.json of `hrnet compare`"
    results: DeviceResults = checked(read_json(path, "results"), DeviceResults, where, extra=True)
    return results


@dataclass(frozen=True)
class Cell:
    """One model on one device. Differences and ratios are to the device's reference of the same precision."""

    precision: str
    p50_ms: float
    p90_ms: float
    ratio: float
    ratio_interval: Interval | None
    score: float
    score_difference: float
    score_interval: Interval | None
    is_reference: bool
    reference: str


@dataclass(frozen=True)
class Device:
    """A device, its runtime, and its models by label."""

    name: str
    source: str
    architecture: str
    runtime: str
    threads: int
    date: str
    items: int
    metric: str
    models: dict[str, Cell]
    color: str


@dataclass(frozen=True)
class Row:
    """A model: a cell for each device, None if the device did not measure it."""

    label: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class DevicesResult:
    """All devices; their models are rows, in the order in which they first occur."""

    devices: tuple[Device, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """A row for every model that any device measured."""
        labels = dict.fromkeys(label for device in self.devices for label in device.models)
        return tuple(Row(label, tuple(device.models.get(label) for device in self.devices)) for label in labels)

    def to_json(self) -> dict[str, object]:
        """Plain data, as in `devices.json`."""
        return {"devices": [dataclasses.asdict(device) for device in self.devices]}

    def __str__(self) -> str:
        width = max(len(row.label) for row in self.rows)
        numbers = range(1, len(self.devices) + 1)
        lines = [
            f"{number}  {device.name}, {device.runtime}, {device.threads} thread{'s' if device.threads > 1 else ''}"
            for number, device in zip(numbers, self.devices, strict=True)
        ]
        lines.append(f"{'model':<{width}}" + "".join(f"  {f'{number}: ms':>9}  ratio" for number in numbers))
        for row in self.rows:
            cells = (f"  {cell.p50_ms:>9.2f}  {cell.ratio:>5.2f}" if cell else f"  {'-':>9}  {'':>5}" for cell in row.cells)
            lines.append(f"{row.label:<{width}}{''.join(cells)}")
        return "\n".join(lines)


def compare_devices(paths: Sequence[Path], output: Path | str) -> DevicesResult:
    """Put the results of several devices side by side, and write a report.

    Args:
        paths: A `results.json` of each device.
        output: Folder for `index.html` and `devices.json`.

    Raises:
        HRNetError: A file is not a `results.json`, or the files are of different metrics.
    """
    contents = [read_results(path) for path in paths]
    names = _names([results.environment.processor for results in contents], paths)
    devices = [
        _device(path, results, name, PALETTE[index % len(PALETTE)])
        for index, (path, results, name) in enumerate(zip(paths, contents, names, strict=True))
    ]
    metrics = sorted({device.metric for device in devices})
    if len(metrics) > 1:
        raise HRNetError(f"these results are of several tasks, with the metrics {' and '.join(metrics)}: give those of one task")
    result = DevicesResult(tuple(devices))
    folder = check_output_folder(output)
    plot = _figure(result, metrics[0])
    page = template("devices.html.j2").render(
        devices=result.devices, rows=result.rows, plot=plot, metric=metrics[0], title=page_title(result)
    )
    write_json(folder / "devices.json", result.to_json())
    write_text(folder / "index.html", page)
    return result


def page_title(result: DevicesResult) -> str:
    """Title of the page: the range of the ratios of the model that is fastest for its reference."""
    cells = [(row.label, cell) for row in result.rows for cell in row.cells if cell and not cell.is_reference]
    title = f"{number_of(len(result.rows), 'models')} on {number_of(len(result.devices), 'devices')}"
    if not cells:
        return title
    label, fastest = min(cells, key=lambda named: named[1].ratio)
    ratios = [cell.ratio for name, cell in cells if name == label]
    low, high = (f"{value:.2f}" for value in (min(ratios), max(ratios)))
    span = low if low == high else f"{low} to {high}"
    return f"{label} against {fastest.reference}: {span} of the latency on {number_of(len(ratios), 'devices')}"


def _names(processors: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Processors, with the folder of the file if several devices have the same."""
    counts = Counter(processors)
    return [
        f"{name} ({path.parent.name or path.stem})" if counts[name] > 1 else name
        for name, path in zip(processors, paths, strict=True)
    ]


def _device(path: Path, results: DeviceResults, name: str, color: str) -> Device:
    by_label = {model.label: model for model in results.models}
    return Device(
        name=name,
        source=str(path),
        architecture=results.environment.architecture,
        runtime=results.runtime,
        threads=results.threads,
        date=results.environment.date,
        items=results.items,
        metric=results.metric.name,
        models={model.label: _cell(model, by_label[model.reference], path) for model in results.models},
        color=color,
    )


def _cell(model: ModelEntry, reference: ModelEntry, path: Path) -> Cell:
    score = _score(model, path)
    return Cell(
        precision=model.description.precision,
        p50_ms=model.latency.p50_ms,
        p90_ms=model.latency.p90_ms,
        ratio=model.latency_ratio,
        ratio_interval=model.latency_ratio_interval,
        score=score,
        score_difference=score - _score(reference, path),
        score_interval=model.score_difference_interval,
        is_reference=model.label == reference.label,
        reference=reference.label,
    )


def _score(model: ModelEntry, path: Path) -> float:
    if model.score is None:
        raise HRNetError(f"{path}: {model.label} has no score to compare")
    return model.score


def _figure(result: DevicesResult, metric: str) -> Figure:
    points: list[Point] = []
    index_of: dict[tuple[str, str], int] = {}
    for device in result.devices:
        for label, cell in device.models.items():
            index_of[device.name, label] = len(points)
            points.append(Point(label, cell.p50_ms, cell.p90_ms, cell.score, device.color, cell.precision == "int8"))
    for device in result.devices:
        for label, cell in device.models.items():
            if not cell.is_reference:
                index = index_of[device.name, label]
                points[index] = dataclasses.replace(points[index], reference=index_of[device.name, cell.reference])
    names = [f"{label}, {device.name}" for device in result.devices for label in device.models]
    figure = scatter_figure(points, metric, f"{metric} against latency")
    rows = tuple((name, *row[1:]) for name, row in zip(names, figure.values.rows, strict=True))
    return dataclasses.replace(figure, values=dataclasses.replace(figure.values, rows=rows))
