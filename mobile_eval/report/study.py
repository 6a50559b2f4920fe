"""The arms of a study in a comparison: which models answer the same question, and what came out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.typed import checked
from mobile_eval.viz.scatter import Point, scatter_svg
from mobile_eval.viz.svg import BLUE, GREEN, INK, ORANGE, PURPLE, RED

FULL, PRUNED = "full", "links"
COLORS = {
    "full": INK,
    "links": BLUE,
    "random": RED,
    "blocks": GREEN,
    "narrow": ORANGE,
    "dropped": PURPLE,
}
MEANING = {
    "full": "every link",
    "links": "links pruned by importance",
    "random": "links pruned at random",
    "blocks": "links and residual blocks pruned by importance",
    "narrow": "a full network so narrow that it is as fast, from nothing",
    "dropped": "trained with links left out at random, then pruned by importance",
}


@dataclass(frozen=True)
class StudyArm:
    """One network: its kind, its share of the full one's latency (None for the full one itself), its models' labels."""

    kind: str
    budget: float | None
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """What the report needs to know of a study."""

    arms: tuple[StudyArm, ...]


@dataclass(frozen=True)
class StudyRow:
    """One model: its score, the difference to the full model of the same precision, latency over the full model's."""

    kind: str
    budget: float | None
    precision: str
    label: str
    score: float
    score_difference: float
    latency_ratio: float


def load_arms(path: Path | str, labels: Sequence[str]) -> tuple[StudyArm, ...]:
    """Read the manifest of `hrnet study`; HRNetError where it names other models than those compared."""
    data, place = read_json(path, "study manifest"), f"{path} is not the manifest of a study"
    manifest: Manifest = checked(data, Manifest, place, extra=True)
    arms = manifest.arms
    named = {label for arm in arms for label in arm.labels}
    if named != set(labels):
        raise HRNetError(f"{path} names other models than those compared: {', '.join(sorted(named ^ set(labels))[:4])}")
    if not any(arm.kind == FULL for arm in arms):
        raise HRNetError(f"{path} has no full network to compare with")
    return arms


def check_references(arms: Sequence[StudyArm], precisions: Mapping[str, str], path: Path | str) -> None:
    """Raise HRNetError where a model, of labels to `precisions`, has no full network of its precision to be compared with."""
    full = {precisions[label] for arm in arms if arm.kind == FULL for label in arm.labels}
    for label, precision in precisions.items():
        if precision not in full:
            raise HRNetError(f"{path} has no full network in {precision} to compare {label} with")


def study_rows(arms: Sequence[StudyArm], models: Sequence[Any]) -> list[StudyRow]:
    """Every model of the study, of `ComparedModel`s, in the order of the arms."""
    by_label = {model.label: model for model in models}
    full = {by_label[label].description.precision: by_label[label] for arm in arms if arm.kind == FULL for label in arm.labels}
    rows = []
    for arm in arms:
        for label in arm.labels:
            model = by_label[label]
            base, score = full[model.description.precision], model.measurement.score
            ratio = model.latency.p50_ms / base.latency.p50_ms
            difference = score - base.measurement.score
            rows.append(StudyRow(arm.kind, arm.budget, model.description.precision, label, score, difference, ratio))
    return rows


def verdicts(rows: Sequence[StudyRow]) -> list[str]:
    """What pruning by importance comes to beside each other way with the same budgets, in sentences."""
    sentences = []
    for precision in dict.fromkeys(row.precision for row in rows):
        found = {(row.kind, row.budget): row for row in rows if row.precision == precision}
        for kind in ("random", "narrow", "dropped"):
            pairs = [(row, found[kind, budget]) for (k, budget), row in found.items() if k == PRUNED and (kind, budget) in found]
            if pairs:
                better = sum(own.score > other.score for own, other in pairs)
                points = ", ".join(f"{(own.score - other.score) * 100:+.1f}" for own, other in pairs).replace("-", "−")
                name = f"{MEANING[PRUNED]} against {MEANING[kind]}"
                sentences.append(f"{precision}: {name}: better at {better} of {len(pairs)} budgets ({points} points)")
    return sentences


def study_plots(rows: Sequence[StudyRow], models: Sequence[Any], accuracy_name: str) -> dict[str, str]:
    """For each precision, accuracy against latency; the networks of one kind are joined."""
    by_label = {model.label: model for model in models}
    plots = {}
    for precision in dict.fromkeys(row.precision for row in rows):
        points: list[Point] = []
        last: dict[str, int] = {}
        for row in (row for row in rows if row.precision == precision):
            latency = by_label[row.label].latency
            name = row.kind if row.budget is None else f"{row.kind} {row.budget:g}"
            joined = last.get(row.kind, last.get(FULL))
            color = COLORS.get(row.kind, COLORS[FULL])
            last[row.kind] = len(points)
            points.append(Point(name, latency.p50_ms, latency.p90_ms, row.score, color, precision == "int8", joined))
        plots[precision] = scatter_svg(points, accuracy_name)
    return plots
