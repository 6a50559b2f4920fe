"""The comparison as one HTML page that needs nothing beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import jinja2
import numpy as np

from mobile_eval.model.description import is_checked_on_random
from mobile_eval.report.figures import Figure, kinds_figure, links_figure, removal_figure, scatter_figure
from mobile_eval.report.headline import headline
from mobile_eval.report.input_sizes import sizes_section
from mobile_eval.report.number_format import count, percent, points_difference
from mobile_eval.report.results import ComparedModel, ComparisonResult
from mobile_eval.report.study import StudySection, study_section
from mobile_eval.tasks.report import Example, LabeledResult
from mobile_eval.viz.charts import removal_points
from mobile_eval.viz.scatter import Point
from mobile_eval.viz.svg import DARK, FAINT, FILL, GRID, INK, MUTED, PALETTE, PAPER, visible

TYPICAL, DISAGREEING = 6, 3  # examples
MAX_MODELS_BY_CLASS = 6
COLOR_NAMES = {  # variables of the style sheet by the color in the light scheme
    INK: "ink",
    MUTED: "muted",
    FAINT: "faint",
    GRID: "line",
    PAPER: "paper",
    FILL: "fill",
    **{color: f"series{number}" for number, color in enumerate(PALETTE)},
}
MAX_CLASSES, WORST_CLASSES = 40, 20  # of more classes, the worst are shown


@dataclass(frozen=True)
class Diagram:
    """The links of one network, the models that have it, and a chart of the removal if it was pruned."""

    models: str
    summary: str
    links: Figure
    removal: Figure | None


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
    environment.filters.update(percent=percent, count=count, points=points_difference, themed=themed)
    environment.globals.update(color_names=COLOR_NAMES, dark_colors=DARK)
    return environment.get_template(name)


def themed(color: str) -> str:
    """The variable of the style sheet for a color of pictures, which has another value in the dark scheme."""
    return f"var(--{COLOR_NAMES[color]})" if color in COLOR_NAMES else color


def _visible(value: object) -> object:
    """Remove characters that a page cannot show; Markup stays Markup."""
    return type(value)(visible(value)) if isinstance(value, str) else value


def report_html(result: ComparisonResult) -> str:
    """The report as HTML."""
    report = result.task.report()
    typical, disagreeing = examples(result)
    rows = class_table(result)
    return template("report.html.j2").render(
        result=result,
        metric=result.task.metric,
        task_report=report,
        data=result.source.to_json(),
        legend=report.legend(result.dataset),
        headline=headline(result),
        randomly_checked=randomly_checked(result),
        plot=accuracy_figure(result),
        sizes=sizes_section(result.models, result.task.metric.name),
        diagrams=diagrams(result),
        kinds=kinds_of_links(result),
        study=study_of(result),
        class_rows=rows,
        bar_scale=1.0
        if result.task.metric.higher_is_better
        else max((v or 0.0 for _, row in rows for v in row), default=1.0) or 1.0,
        class_models=class_models(result),
        colors=[PALETTE[index % len(PALETTE)] for index in range(len(result.models))],
        typical=typical,
        disagreeing=disagreeing,
    )


def study_of(result: ComparisonResult) -> StudySection | None:
    """The study that the models belong to, if any."""
    return study_section(result.arms, result.models, result.task.metric, result.task.report().score_of_sums)


def randomly_checked(result: ComparisonResult) -> list[str]:
    """Labels of the models that were compared with Keras on random images only when they were converted."""
    return [model.label for model in result.models if is_checked_on_random(model.description.source)]


def accuracy_figure(result: ComparisonResult) -> Figure:
    """The metric against latency; each model is joined to its reference."""
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
    metric = result.task.metric.name
    return scatter_figure(points, metric, f"{metric} against latency")


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
        names = ", ".join(model.label for model in models)
        links = links_figure(first.description.network, importance, f"Fusion links of {names}")
        drawn.append(Diagram(names, summary, links, _removal(models, names)))
    return drawn


def _removal(models: list[ComparedModel], names: str) -> Figure | None:
    """Chart of the accuracy after each removal step, from the first model whose description has it."""
    removal = next((m.description.source["removal"] for m in models if m.description.source.get("removal")), None)
    if removal is None:
        return None
    points = removal_points(removal["full_score"], removal["steps"])
    if len(points) < 2:
        return None
    return removal_figure(points, removal["metric"], removal["cost_unit"], f"Removal of links and blocks from {names}")


def kinds_of_links(result: ComparisonResult) -> Figure | None:
    """Importance by kind of link, from the first model that was ranked."""
    ranked = next((m.description.importance for m in result.models if m.description.importance), None)
    return kinds_figure(ranked, "Mean importance by kind of link") if ranked else None


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


def bar_scale(result: ComparisonResult, rows: list[tuple[str, list[float | None]]]) -> float:
    """The score whose bar is as wide as its cell: 1, or the worst one where less is better."""
    if result.task.metric.higher_is_better:
        return 1.0
    return max((score or 0.0 for _, scores in rows for score in scores), default=0.0) or 1.0


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
