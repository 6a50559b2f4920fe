"""The comparison as one HTML page that needs nothing beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mobile_eval.charts import kinds_svg, removal_points, removal_svg
from mobile_eval.compare import ComparedModel, ComparisonResult
from mobile_eval.link_diagram import link_diagram_svg
from mobile_eval.metrics.figures import number_or_none
from mobile_eval.metrics.pck import PCK_THRESHOLD, found_joints
from mobile_eval.pose_picture import Cutout, cut_out, skeleton_svg
from mobile_eval.preprocess import read_image
from mobile_eval.scatter import Point, scatter_svg
from mobile_eval.study import MEANING, StudyRow, study_plots, study_rows, verdicts

TYPICAL, DISAGREEING = 6, 3
MANY_MODELS = 6
COLORS = ("#2458d3", "#c2570c", "#0f8a6d", "#8b3fb5", "#b8860b", "#c02652", "#3a7ca5", "#6b7280")


@dataclass(frozen=True)
class Panel:
    """One skeleton over a photograph, and what is written under it."""

    caption: str
    note: str
    overlay: Markup


@dataclass(frozen=True)
class Example:
    """One person: the photograph once, and the panels that show it."""

    number: int
    file_name: str
    cutout: Cutout
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class StudySection:
    """The arms of a study: a plot for each precision, rows by budget, and what they come to."""

    plots: dict[str, Markup]
    rows: list[StudyRow]
    verdicts: list[str]
    meaning: dict[str, str]


@dataclass(frozen=True)
class Diagram:
    """The links of one network and the models that have it; the way there, where it was pruned and measured."""

    models: str
    summary: str
    svg: Markup
    removal: Markup | None


def template(name: str) -> jinja2.Template:
    """A template of this package, with the filters that they share."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mobile_eval"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, count=count, points=points_difference)
    return environment.get_template(name)


def report_html(result: ComparisonResult) -> str:
    """The page's text."""
    typical, disagreeing = examples(result)
    return template("report.html.j2").render(
        result=result,
        headline=headline(result),
        plot=Markup(accuracy_plot(result)),
        diagrams=diagrams(result),
        kinds=kinds_picture(result),
        study=study_section(result),
        joints=joint_table(result),
        joint_models=joint_models(result),
        colors=[COLORS[index % len(COLORS)] for index in range(len(result.models))],
        typical=typical,
        disagreeing=disagreeing,
        pck_name=f"PCK@{PCK_THRESHOLD:g}",
    )


def percent(value: float | None, digits: int = 1) -> str:
    """A share as percent; a dash for None."""
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
    """What the pair of interest comes to, in one sentence; None for a single model."""
    pair = result.picture_pair()
    if len(pair) < 2:
        return None
    full, other = (result.models[index] for index in pair)
    ratio = other.latency.p50_ms / full.latency.p50_ms
    links = f", with {other.links_kept} of {other.links_possible} fusion links" if other.links_possible else ""
    return (
        f"{other.label} takes {ratio:.2f} of {full.label}’s time "
        f"({other.latency.p50_ms:.2f} against {full.latency.p50_ms:.2f} ms){links}; "
        f"PCK@{PCK_THRESHOLD:g} is {percent(other.evaluation.pck.pck)} against {percent(full.evaluation.pck.pck)} %."
    )


def accuracy_plot(result: ComparisonResult) -> str:
    """PCK against latency; each model is joined to the one its ratio is to."""
    points = []
    for index, model in enumerate(result.models):
        points.append(
            Point(
                label=model.label,
                latency_ms=model.latency.p50_ms,
                p90_ms=model.latency.p90_ms,
                accuracy=model.evaluation.pck.pck,
                color=COLORS[index % len(COLORS)],
                square=model.description.precision == "int8",
                reference=model.reference if model.reference != index else None,
            )
        )
    return scatter_svg(points, f"PCK@{PCK_THRESHOLD:g}")


def diagrams(result: ComparisonResult) -> list[Diagram]:
    """One picture for each network among the models; several models may share one."""
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
    """Accuracy after each step of the removal, from the first model that knows it."""
    known = next((m.description.source["removal"] for m in models if m.description.source.get("removal")), None)
    if known is None:
        return None
    whole = known["whole_score"] if "whole_score" in known else known["whole_pck"]  # before there were tasks
    points = removal_points(whole, known["steps"])
    return (
        Markup(removal_svg(points, known.get("metric", f"PCK@{PCK_THRESHOLD:g}"), known["priced_in"]))
        if len(points) > 1
        else None
    )


def study_section(result: ComparisonResult) -> StudySection | None:
    """The study that the models are of, if they are of one."""
    if not result.arms:
        return None
    rows = study_rows(result.arms, result.models)
    plots = study_plots(rows, result.models, f"PCK@{PCK_THRESHOLD:g}")
    meaning = {kind: MEANING.get(kind, "") for kind in dict.fromkeys(row.kind for row in rows)}
    return StudySection({name: Markup(svg) for name, svg in plots.items()}, rows, verdicts(rows), meaning)


def kinds_picture(result: ComparisonResult) -> Markup | None:
    """Importance by kind of link, from the first model that was ranked."""
    ranked = next((m.description.importance for m in result.models if m.description.importance), None)
    return Markup(kinds_svg(ranked)) if ranked else None


def joint_models(result: ComparisonResult) -> list[int]:
    """The models whose joints are shown, by index: all, or the pair of interest where they are many."""
    return list(range(len(result.models))) if len(result.models) <= MANY_MODELS else list(result.picture_pair())


def joint_table(result: ComparisonResult) -> list[tuple[str, list[float | None]]]:
    """Rows of (joint, share found by each model)."""
    columns = [result.models[index].evaluation.pck.per_joint for index in joint_models(result)]
    return [
        (joint.replace("_", " "), [number_or_none(column[index]) for column in columns])
        for index, joint in enumerate(result.dataset.category.joints)
    ]


def examples(result: ComparisonResult) -> tuple[list[Example], list[Example]]:
    """Persons spread evenly over the data set, whatever came out, and those on whom the pair differs most."""
    persons, pair = result.dataset.persons, result.picture_pair()
    spread = np.unique(np.linspace(0, len(persons) - 1, min(TYPICAL, len(persons))).round().astype(int))
    chosen = [int(index) for index in spread]
    apart: list[int] = []
    if len(pair) == 2:
        first, second = (_pair_found(result, index) for index in pair)
        difference = np.abs(first.astype(int) - second.astype(int)).sum(axis=1)
        order = [int(index) for index in np.argsort(-difference, kind="stable") if difference[index] > 0]
        apart = [index for index in order if index not in chosen][:DISAGREEING]
    return [_example(result, index, pair) for index in chosen], [_example(result, index, pair) for index in apart]


def _pair_found(result: ComparisonResult, model: int) -> NDArray[np.bool_]:
    persons = result.dataset.persons
    truth = np.stack([person.keypoints for person in persons])
    return found_joints(result.models[model].evaluation.keypoints, truth, [person.box for person in persons])


def _example(result: ComparisonResult, index: int, pair: tuple[int, ...]) -> Example:
    person, category = result.dataset.persons[index], result.dataset.category
    cutout = cut_out(read_image(person.image_path), person.box)
    labelled = person.keypoints[:, 2] > 0
    truth = Markup(skeleton_svg(person.keypoints, category, cutout))
    panels = [Panel("ground truth", f"{int(labelled.sum())} labelled", truth)]
    for model in pair:
        keypoints = result.models[model].evaluation.keypoints[index]
        found = found_joints(keypoints[None], person.keypoints[None], [person.box])[0]
        overlay = Markup(skeleton_svg(keypoints, category, cutout, labelled & ~found))
        panels.append(Panel(result.models[model].label, f"{int(found.sum())} of {int(labelled.sum())} found", overlay))
    return Example(index, person.image_path.name, cutout, tuple(panels))
