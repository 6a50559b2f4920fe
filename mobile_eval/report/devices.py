"""What several devices measured, in one report: models by devices, from the `results.json` of each.

`hrnet compare` runs on a device and writes `results.json`; brought back, several of them are laid side by side here.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mobile_eval.benchmark.bootstrap import Interval
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_output_folder, write_json, write_text
from mobile_eval.report.device_results import DeviceResults, MeasuredModel, read_results, score_of
from mobile_eval.report.html import template
from mobile_eval.viz.scatter import Point, scatter_svg
from mobile_eval.viz.svg import PALETTE


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
    """One device, what it ran, and its models by label."""

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
    """One model: a cell for each device, None where it was not measured."""

    label: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class DevicesResult:
    """All devices, and their models as rows, in the order they were met."""

    devices: tuple[Device, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every model that any device measured."""
        labels = dict.fromkeys(label for device in self.devices for label in device.models)
        return tuple(Row(label, tuple(device.models.get(label) for device in self.devices)) for label in labels)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"devices": [dataclasses.asdict(device) for device in self.devices]}

    def __str__(self) -> str:
        wide = max(len(row.label) for row in self.rows)
        lines = []
        for number, device in enumerate(self.devices, 1):
            lines.append(f"{number}  {device.name}, {device.runtime}, {device.threads} thread{'s' if device.threads > 1 else ''}")
        lines.append(
            f"{'model':<{wide}}" + "".join(f"  {f'{number}: ms':>9}  ratio" for number in range(1, len(self.devices) + 1))
        )
        for row in self.rows:
            cells = "".join(
                f"  {cell.p50_ms:>9.2f}  {cell.ratio:>5.2f}" if cell else f"  {'-':>9}  {'':>5}" for cell in row.cells
            )
            lines.append(f"{row.label:<{wide}}{cells}")
        return "\n".join(lines)


def compare_devices(results: Sequence[Path], output: Path | str) -> DevicesResult:
    """Read `results.json` files of several devices and write `index.html` and `devices.json` into the folder `output`."""
    read = [read_results(path) for path in results]
    names = _names([data.environment.processor for data in read], results)
    devices = [
        _device(path, data, name, PALETTE[i % len(PALETTE)])
        for i, (path, data, name) in enumerate(zip(results, read, names, strict=True))
    ]
    result = DevicesResult(tuple(devices))
    measured = sorted({device.metric for device in devices})
    if len(measured) > 1:
        raise HRNetError(f"these are of several tasks, measured by {' and '.join(measured)}: lay those of one side by side")
    folder = check_output_folder(output)
    page = template("devices.html.j2").render(
        devices=result.devices, rows=result.rows, plot=Markup(_plot(result, measured[0])), metric=measured[0]
    )
    write_json(folder / "devices.json", result.to_json())
    write_text(folder / "index.html", page)
    return result


def _names(processors: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Processors, with the folder of the file where one comes twice."""
    met = Counter(processors)
    return [
        f"{name} ({path.parent.name or path.stem})" if met[name] > 1 else name
        for name, path in zip(processors, paths, strict=True)
    ]


def _device(path: Path, results: DeviceResults, name: str, color: str) -> Device:
    by_label = {model.label: model for model in results.models}
    environment = results.environment
    return Device(
        name=name,
        source=str(path),
        architecture=environment.architecture,
        runtime=results.runtime,
        threads=results.threads,
        date=environment.date,
        items=results.items,
        metric=results.metric.name,
        models={model.label: _cell(model, by_label[model.reference], path) for model in results.models},
        color=color,
    )


def _cell(model: MeasuredModel, reference: MeasuredModel, path: Path) -> Cell:
    score = score_of(model, path)
    return Cell(
        precision=model.description.precision,
        p50_ms=model.latency.p50_ms,
        p90_ms=model.latency.p90_ms,
        ratio=model.latency_ratio,
        ratio_interval=model.latency_ratio_interval,
        score=score,
        score_difference=score - score_of(reference, path),
        score_interval=model.score_difference_interval,
        is_reference=model.label == reference.label,
        reference=reference.label,
    )


def _plot(result: DevicesResult, metric: str) -> str:
    points: list[Point] = []
    place: dict[tuple[str, str], int] = {}
    for device in result.devices:
        for label, cell in device.models.items():
            place[device.name, label] = len(points)
            square = cell.precision == "int8"
            points.append(Point(label, cell.p50_ms, cell.p90_ms, cell.score, device.color, square))
    for device in result.devices:
        for label, cell in device.models.items():
            if not cell.is_reference:
                own = place[device.name, label]
                points[own] = dataclasses.replace(points[own], reference=place[device.name, cell.reference])
    return scatter_svg(points, metric)
