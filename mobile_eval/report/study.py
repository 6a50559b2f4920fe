"""The study section of a report: how ways to make a network faster compare at the same budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.report.figures import Figure, scatter_figure
from mobile_eval.report.results import FULL, PRUNED, ComparedModel, StudyArm
from mobile_eval.typed import checked
from mobile_eval.viz.scatter import Point
from mobile_eval.viz.svg import BLUE, GREEN, INK, ORANGE, PURPLE, RED

COMPETITORS = ("random", "narrow", "dropped")  # kinds that pruning by importance is compared with
COLORS = {
    "full": INK,
    "links": BLUE,
    "random": RED,
    "blocks": GREEN,
    "narrow": ORANGE,
    "dropped": PURPLE,
}
MEANING = {
    "full": "all links",
    "links": "links pruned by importance",
    "random": "links pruned at random",
    "blocks": "links and residual blocks pruned by importance",
    "narrow": "a latency-matched network of smaller width, trained from scratch",
    "dropped": "trained with link dropout, then pruned by importance",
}


@dataclass(frozen=True)
class Manifest:
    """The part of a study's manifest that a report reads."""

    arms: tuple[StudyArm, ...]


@dataclass(frozen=True)
class StudyRow:
    """One model of a study. The difference and the ratio are to the full model of the same precision."""

    kind: str
    budget: float | None
    precision: str
    label: str
    score: float
    score_difference: float
    latency_ratio: float


def load_arms(path: Path | str, labels: Sequence[str]) -> tuple[StudyArm, ...]:
    """Read the manifest of `hrnet study`.

    Args:
        path: The manifest.
        labels: Labels of the compared models.

    Raises:
        HRNetError: The manifest names other models than those compared, or no full network.
    """
    where = f"{path} is not the manifest of a study"
    manifest: Manifest = checked(read_json(path, "study manifest"), Manifest, where, extra=True)
    named = {label for arm in manifest.arms for label in arm.labels}
    if named != set(labels):
        raise HRNetError(f"{path} names other models than those compared: {', '.join(sorted(named ^ set(labels))[:4])}")
    if not any(arm.kind == FULL for arm in manifest.arms):
        raise HRNetError(f"{path} has no full network to compare with")
    return manifest.arms


def check_references(arms: Sequence[StudyArm], precisions: Mapping[str, str], path: Path | str) -> None:
    """Raise HRNetError if a model has no full network of its precision to be compared with.

    Args:
        arms: The arms of the study.
        precisions: Precision of each model, by label.
        path: The manifest, for the message.
    """
    full = {precisions[label] for arm in arms if arm.kind == FULL for label in arm.labels}
    for label, precision in precisions.items():
        if precision not in full:
            raise HRNetError(f"{path} has no full network in {precision} to compare {label} with")


def study_rows(arms: Sequence[StudyArm], models: Sequence[ComparedModel]) -> list[StudyRow]:
    """Every model of a study, in the order of the arms."""
    by_label = {model.label: model for model in models}
    full = {by_label[label].description.precision: by_label[label] for arm in arms if arm.kind == FULL for label in arm.labels}
    rows = []
    for arm in arms:
        for label in arm.labels:
            model = by_label[label]
            reference, score = full[model.description.precision], model.measurement.score
            ratio = model.latency.p50_ms / reference.latency.p50_ms
            difference = score - reference.measurement.score
            rows.append(StudyRow(arm.kind, arm.budget, model.description.precision, label, score, difference, ratio))
    return rows


def verdicts(rows: Sequence[StudyRow]) -> list[str]:
    """Sentences that compare pruning by importance with each other kind at the same budgets."""
    sentences = []
    for precision in dict.fromkeys(row.precision for row in rows):
        by_arm = {(row.kind, row.budget): row for row in rows if row.precision == precision}
        for kind in COMPETITORS:
            pairs = [
                (row, by_arm[kind, budget])
                for (row_kind, budget), row in by_arm.items()
                if row_kind == PRUNED and (kind, budget) in by_arm
            ]
            if pairs:
                better = sum(pruned.score > competitor.score for pruned, competitor in pairs)
                differences = [f"{(pruned.score - competitor.score) * 100:+.1f}" for pruned, competitor in pairs]
                points = ", ".join(differences).replace("-", "−")
                names = f"{MEANING[PRUNED]} against {MEANING[kind]}"
                sentences.append(f"{precision}: {names}: better at {better} of {len(pairs)} budgets ({points} points)")
    return sentences


@dataclass(frozen=True)
class StudySection:
    """A study: a figure for each precision, rows by budget, conclusions, and what the kinds mean."""

    figures: dict[str, Figure]
    rows: list[StudyRow]
    verdicts: list[str]
    meaning: dict[str, str]


def study_section(arms: Sequence[StudyArm], models: Sequence[ComparedModel], metric: str) -> StudySection | None:
    """The study of these arms; None if there are none."""
    if not arms:
        return None
    rows = study_rows(arms, models)
    meaning = {kind: MEANING.get(kind, "") for kind in dict.fromkeys(row.kind for row in rows)}
    return StudySection(study_figures(rows, models, metric), rows, verdicts(rows), meaning)


def study_figures(rows: Sequence[StudyRow], models: Sequence[ComparedModel], metric: str) -> dict[str, Figure]:
    """Accuracy against latency by precision, with the Pareto front; networks of the same kind are joined by lines."""
    by_label = {model.label: model for model in models}
    figures = {}
    for precision in dict.fromkeys(row.precision for row in rows):
        points: list[Point] = []
        previous: dict[str, int] = {}
        for row in (row for row in rows if row.precision == precision):
            latency = by_label[row.label].latency
            name = row.kind if row.budget is None else f"{row.kind} {row.budget:g}"
            joined = previous.get(row.kind, previous.get(FULL))
            color = COLORS.get(row.kind, COLORS[FULL])
            previous[row.kind] = len(points)
            points.append(Point(name, latency.p50_ms, latency.p90_ms, row.score, color, precision == "int8", joined))
        figures[precision] = scatter_figure(points, metric, f"{metric} against latency, {precision}", front=True)
    return figures
