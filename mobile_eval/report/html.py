"""The comparison as one HTML page that needs nothing beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import jinja2
import numpy as np
from markupsafe import Markup

from mobile_eval.model.description import is_checked_on_random
from mobile_eval.report.input_sizes import accuracy_by_size_svg, cost_by_size_svg, input_sizes, size_lines
from mobile_eval.report.results import ComparedModel, ComparisonResult
from mobile_eval.report.study import MEANING, StudyRow, study_plots, study_rows, verdicts
from mobile_eval.tasks.report import Example, LabeledResult
from mobile_eval.viz.charts import importance_by_kind_svg, removal_points, removal_svg
from mobile_eval.viz.link_diagram import link_diagram_svg
from mobile_eval.viz.scatter import Point, scatter_svg
from mobile_eval.viz.svg import PALETTE, visible

TYPICAL, DISAGREEING = 6, 3  # examples
MAX_MODELS_BY_CLASS = 6
MAX_CLASSES, WORST_CLASSES = 40, 20  # of more classes, the worst are shown


@dataclass(frozen=True)
class StudySection:
    """A study: a plot for each precision, rows by budget, conclusions, and what the kinds mean."""

    plots: dict[str, Markup]
    rows: list[StudyRow]
    verdicts: list[str]
    meaning: dict[str, str]


@dataclass(frozen=True)
class SizesSection:
    """Charts of the metric and of the cost against input size."""

    accuracy: Markup
    cost: Markup


@dataclass(frozen=True)
class Diagram:
    """The links of one network, the models that have it, and a chart of the removal if it was pruned."""

    models: str
    summary: str
    svg: Markup
    removal: Markup | None


def template(name: str) -> jinja2.Template:
    """A template of this package."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mobile_eval.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, count=count, points=points_difference)
    return environment.get_template(name)


def _visible(value: object) -> object:
    """Remove characters that a page cannot show; Markup stays Markup."""
    return type(value)(visible(value)) if isinstance(value, str) else value


def report_html(result: ComparisonResult) -> str:
    """The report as HTML."""
    report = result.task.report()
    typical, disagreeing = examples(result)
    return template("report.html.j2").render(
        result=result,
        metric=result.task.metric,
        task_report=report,
        data=result.source.to_json(),
        legend=report.legend(result.dataset),
        headline=headline(result),
        randomly_checked=randomly_checked(result),
        plot=Markup(accuracy_plot(result)),
        sizes=sizes_section(result),
        diagrams=diagrams(result),
        kinds=kinds_picture(result),
        study=study_section(result),
        class_rows=class_table(result),
        class_models=class_models(result),
        colors=[PALETTE[index % len(PALETTE)] for index in range(len(result.models))],
        typical=typical,
        disagreeing=disagreeing,
    )


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent; a dash for None."""
    return "–" if value is None else f"{value * 100:.{digits}f}"


def points_difference(value: float | None, reference: float | None) -> str:
    """The difference of two shares in percentage points, with its sign."""
    if value is None or reference is None:
        return ""
    return f"{(value - reference) * 100:+.1f}".replace("-", "−")


def count(value: float) -> str:
    """A large number with three digits and a unit: 28.5 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:g}"


def headline(result: ComparisonResult) -> str | None:
    """Comparison of the example pair in one sentence; None for a single model."""
    pair = result.example_pair()
    if len(pair) < 2:
        return None
    full, pruned = (result.models[index] for index in pair)
    ratio = pruned.latency.p50_ms / full.latency.p50_ms
    links = f", with {pruned.links_kept} of {pruned.links_possible} fusion links" if pruned.links_possible else ""
    return (
        f"{pruned.label} takes {ratio:.2f} of {full.label}’s time "
        f"({pruned.latency.p50_ms:.2f} against {full.latency.p50_ms:.2f} ms){links}; "
        f"{result.task.metric.name} is {percent(pruned.measurement.score)} against {percent(full.measurement.score)} %."
    )


def randomly_checked(result: ComparisonResult) -> list[str]:
    """Labels of the models that were compared with Keras on random images only when they were converted."""
    return [model.label for model in result.models if is_checked_on_random(model.description.source)]


def accuracy_plot(result: ComparisonResult) -> str:
    """Plot (SVG) of the metric against latency; each model is joined to its reference."""
    points = []
    for index, model in enumerate(result.models):
        points.append(
            Point(
                label=model.label,
                latency_ms=model.latency.p50_ms,
                p90_ms=model.latency.p90_ms,
                accuracy=model.measurement.score,
                color=PALETTE[index % len(PALETTE)],
                square=model.description.precision == "int8",
                reference=model.reference if model.reference != index else None,
            )
        )
    return scatter_svg(points, result.task.metric.name)


def sizes_section(result: ComparisonResult) -> SizesSection | None:
    """Accuracy and cost against input size; None if all models have the same size."""
    if len(input_sizes(result.models)) < 2:
        return None
    lines = size_lines(result.models)
    accuracy = accuracy_by_size_svg(lines, result.task.metric.name)
    return SizesSection(Markup(accuracy), Markup(cost_by_size_svg(lines)))


def diagrams(result: ComparisonResult) -> list[Diagram]:
    """A diagram of each network among the models; models of the same network share one."""
    groups: dict[str, list[ComparedModel]] = {}
    for model in result.models:
        if model.links_possible:
            groups.setdefault(json.dumps(model.description.network, sort_keys=True), []).append(model)
    ranked = next((m.description.importance for m in result.models if m.description.importance), None)
    drawn = []
    for models in groups.values():
        first = models[0]
        importance = next((m.description.importance for m in models if m.description.importance), ranked)
        built = len(first.description.network["live_branches"])
        summary = f"{first.links_kept} of {first.links_possible} links, {built} branch modules"
        svg = Markup(link_diagram_svg(first.description.network, importance))
        drawn.append(Diagram(", ".join(model.label for model in models), summary, svg, _removal(models)))
    return drawn


def _removal(models: list[ComparedModel]) -> Markup | None:
    """Chart of the accuracy after each removal step, from the first model whose description has it."""
    removal = next((m.description.source["removal"] for m in models if m.description.source.get("removal")), None)
    if removal is None:
        return None
    points = removal_points(removal["full_score"], removal["steps"])
    return Markup(removal_svg(points, removal["metric"], removal["cost_unit"])) if len(points) > 1 else None


def study_section(result: ComparisonResult) -> StudySection | None:
    """The study that the models belong to, if any."""
    if not result.arms:
        return None
    rows = study_rows(result.arms, result.models)
    plots = study_plots(rows, result.models, result.task.metric.name)
    meaning = {kind: MEANING.get(kind, "") for kind in dict.fromkeys(row.kind for row in rows)}
    return StudySection({name: Markup(svg) for name, svg in plots.items()}, rows, verdicts(rows), meaning)


def kinds_picture(result: ComparisonResult) -> Markup | None:
    """Chart of the importance by kind of link, from the first model that was ranked."""
    ranked = next((m.description.importance for m in result.models if m.description.importance), None)
    return Markup(importance_by_kind_svg(ranked)) if ranked else None


def class_models(result: ComparisonResult) -> list[int]:
    """Indices of the models in the table by class: all, or the example pair if there are many."""
    return list(range(len(result.models))) if len(result.models) <= MAX_MODELS_BY_CLASS else list(result.example_pair())


def class_table(result: ComparisonResult) -> list[tuple[str, list[float | None]]]:
    """Rows of a class (or joint) and its score in each model; of many classes, those with the worst scores."""
    columns = [result.models[index].measurement.per_class for index in class_models(result)]
    rows = [(name, [column[name] for column in columns]) for name in columns[0]]
    if len(rows) > MAX_CLASSES:
        higher_is_better = result.task.metric.higher_is_better
        scored = [row for row in rows if row[1][0] is not None]
        rows = sorted(scored, key=lambda row: row[1][0] or 0.0, reverse=not higher_is_better)[:WORST_CLASSES]
    return [(name.replace("_", " "), values) for name, values in rows]


def examples(result: ComparisonResult) -> tuple[list[Example], list[Example]]:
    """Items that are evenly spaced in the data set, and those on which the example pair differs most."""
    count, pair = len(result.dataset), result.example_pair()
    spread = np.unique(np.linspace(0, count - 1, min(TYPICAL, count)).round().astype(int))
    chosen = [int(index) for index in spread]
    disagreeing: list[int] = []
    if len(pair) == 2:
        first, second = (result.models[index].measurement.correctness for index in pair)
        difference = np.abs(first - second).sum(axis=1)
        order = [int(index) for index in np.argsort(-difference, kind="stable") if difference[index] > 0]
        disagreeing = [index for index in order if index not in chosen][:DISAGREEING]
    models = [result.models[index] for index in pair]
    shown = [LabeledResult(model.label, model.result, model.measurement) for model in models]
    example = result.task.report().example
    return [example(result.dataset, index, shown) for index in chosen], [
        example(result.dataset, index, shown) for index in disagreeing
    ]
