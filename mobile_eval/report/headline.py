"""What a report says first: how the smaller model compares with the full one."""

from __future__ import annotations

from dataclasses import dataclass

from mobile_eval.benchmark.bootstrap import Interval
from mobile_eval.metrics.metric import Metric
from mobile_eval.report.number_format import percent, points_difference
from mobile_eval.report.results import ComparedModel, ComparisonResult


@dataclass(frozen=True)
class Fact:
    """A figure at the head of a page: the value, what it is of, and what it is compared with."""

    value: str
    name: str
    detail: str = ""


@dataclass(frozen=True)
class Headline:
    """The title of the page, its heading, and the main figures."""

    title: str
    heading: str
    facts: tuple[Fact, ...]


def headline(result: ComparisonResult) -> Headline:
    """The example pair in a few figures, or the only model."""
    metric, pair = result.task.metric, result.example_pair()
    model = result.models[pair[-1]]
    if len(pair) < 2:
        return _one_model(model, metric)
    full = result.models[pair[0]]
    heading = f"{model.label} against {full.label}"
    is_reference = model.reference == pair[0]
    ratio = _ratio(model, full, is_reference=is_reference)
    score = _score(model, full, metric, is_reference=is_reference)
    size = Fact(f"{_megabytes(model)} MB", "file size", f"against {_megabytes(full)} MB")
    title = f"{heading}: {ratio.value} of the latency, {metric.name} {score.value} points"
    return Headline(title, heading, (ratio, score, *_links(model), size))


def _one_model(model: ComparedModel, metric: Metric) -> Headline:
    latency = Fact(f"{model.latency.p50_ms:.2f} ms", "median latency")
    score = Fact(f"{percent(model.measurement.score)} %", metric.name)
    size = Fact(f"{_megabytes(model)} MB", "file size")
    title = f"{model.label}: {latency.value}, {score.name} {score.value}"
    return Headline(title, model.label, (latency, score, *_links(model), size))


def _ratio(model: ComparedModel, full: ComparedModel, *, is_reference: bool) -> Fact:
    """The ratio of latencies; its interval is known where the full model is the reference."""
    latency_ms, full_ms = model.latency.p50_ms, full.latency.p50_ms
    detail = f"{latency_ms:.2f} against {full_ms:.2f} ms"
    if is_reference and model.latency_interval:
        detail += f"; 95 %: {model.latency_interval.low:.2f} to {model.latency_interval.high:.2f}"
    return Fact(f"{latency_ms / full_ms:.2f}", "of the latency", detail)


def _score(model: ComparedModel, full: ComparedModel, metric: Metric, *, is_reference: bool) -> Fact:
    """The difference in the metric; its interval is known where the full model is the reference."""
    score, full_score = model.measurement.score, full.measurement.score
    detail = f"{percent(score)} against {percent(full_score)} %" + ("" if metric.higher_is_better else ", less is better")
    if is_reference and model.score_interval:
        detail += f"; 95 %: {_points(model.score_interval)}"
    return Fact(points_difference(score, full_score), f"points of {metric.name}", detail)


def _links(model: ComparedModel) -> list[Fact]:
    return [Fact(f"{model.links_kept} of {model.links_possible}", "fusion links")] if model.links_possible else []


def _points(interval: Interval) -> str:
    return f"{points_difference(interval.low, 0.0)} to {points_difference(interval.high, 0.0)}"


def _megabytes(model: ComparedModel) -> str:
    return f"{model.latency.size_bytes / 1e6:.2f}"
