"""The study section of a report: how ways to make a network faster compare, as means over the seeds of their trainings."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.benchmark.bootstrap import Array, Interval, difference_of_mean_scores
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.metrics.metric import Metric
from mobile_eval.report.arms import FULL, FULL_SCRATCH, GREEDY, LINKS, MEANING, NARROW, RANDOM, SCRATCH, UNITS, StudyArm
from mobile_eval.report.figures import Figure, scatter_figure
from mobile_eval.report.results import ComparedModel
from mobile_eval.typed import checked
from mobile_eval.viz.scatter import Point
from mobile_eval.viz.svg import BLUE, GOLD, GRAY, GREEN, INK, ORANGE, PURPLE, RED

SAME_BUDGET = (LINKS, GREEDY, RANDOM, SCRATCH)  # kinds that pruned networks are compared with at the same budget
COLORS = {
    FULL: INK,
    UNITS: BLUE,
    LINKS: GREEN,
    NARROW: ORANGE,
    GREEDY: PURPLE,
    RANDOM: RED,
    SCRATCH: GOLD,
    FULL_SCRATCH: GRAY,
}
ScoreOfSums = Callable[[Array], Array]


@dataclass(frozen=True)
class Manifest:
    """The part of a study's manifest that a report reads."""

    arms: tuple[StudyArm, ...]


@dataclass(frozen=True)
class StudyNetwork:
    """A network of a study in one precision, over the seeds of its trainings.

    Attributes:
        name: Name of the network.
        kind: How it was made.
        budget: Its share of the full network's latency; None if it was not made for one.
        precision: Precision of the models.
        models: The models of its trainings.
        score: Mean of the metric.
        deviation: Standard deviation of the metric over seeds; None for one seed.
        latency_ms: Mean of the median latencies.
        latency_ratio: Latency over that of the full network.
        score_difference: Difference of the mean to that of the full network.
        score_interval: Its 95 % interval; None for the full network, and if the metric is not a function of sums over images.
    """

    name: str
    kind: str
    budget: float | None
    precision: str
    models: tuple[ComparedModel, ...]
    score: float
    deviation: float | None
    latency_ms: float
    latency_ratio: float
    score_difference: float
    score_interval: Interval | None

    def to_json(self) -> dict[str, object]:
        """Plain data; the labels of the models stand for them."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        interval = dataclasses.asdict(self.score_interval) if self.score_interval else None
        return {**values, "models": [model.label for model in self.models], "score_interval": interval}


@dataclass(frozen=True)
class StudyComparison:
    """A pruned network against another one. Differences are the pruned network's mean score minus the other's.

    Attributes:
        pruned: The pruned network.
        other: The network that it is compared with, in the same precision.
        difference: Difference of the mean scores.
        interval: Its 95 % interval, by resampling images; None if the metric is not a function of sums over images.
        verdict: "ahead", "behind" or "not told apart"; "" without an interval.
    """

    pruned: StudyNetwork
    other: StudyNetwork
    difference: float
    interval: Interval | None
    verdict: str

    def to_json(self) -> dict[str, object]:
        """Plain data; the names of the networks stand for them."""
        interval = dataclasses.asdict(self.interval) if self.interval else None
        values = {"difference": self.difference, "interval": interval, "verdict": self.verdict}
        return {"pruned": self.pruned.name, "other": self.other.name, "precision": self.pruned.precision, **values}


def load_arms(path: Path | str, labels: Sequence[str]) -> tuple[StudyArm, ...]:
    """Read the manifest of `hrnet study`.

    Args:
        path: The manifest.
        labels: Labels of the compared models.

    Returns:
        The arms that are among the compared models.

    Raises:
        HRNetError: A compared model is not in the manifest, or none is of the full network.
    """
    where = f"{path} is not the manifest of a study"
    manifest: Manifest = checked(read_json(path, "study manifest"), Manifest, where, extra=True)
    unknown = set(labels).difference(*(arm.labels for arm in manifest.arms))
    if unknown:
        raise HRNetError(f"{path} does not have these models: {', '.join(sorted(unknown)[:4])}")
    compared = [dataclasses.replace(arm, labels=tuple(label for label in arm.labels if label in labels)) for arm in manifest.arms]
    arms = tuple(arm for arm in compared if arm.labels)
    if not any(arm.kind == FULL for arm in arms):
        raise HRNetError(f"{path}: none of the compared models is of the full network")
    return arms


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


def study_networks(
    arms: Sequence[StudyArm], models: Sequence[ComparedModel], score_of_sums: ScoreOfSums | None
) -> list[StudyNetwork]:
    """Return the networks of a study in each precision, int8 first, in the order of the arms.

    Args:
        arms: The arms.
        models: Their models.
        score_of_sums: Computes the metric from sums over images, for intervals; None if it is not a function of them.
    """
    by_label = {model.label: model for model in models}
    groups: dict[tuple[str, str], list[ComparedModel]] = {}
    arm_of: dict[str, StudyArm] = {}
    for arm in arms:
        arm_of.setdefault(arm.name, arm)
        for model in (by_label[label] for label in arm.labels):
            groups.setdefault((model.description.precision, arm.name), []).append(model)
    full = {precision: group for (precision, name), group in groups.items() if arm_of[name].kind == FULL}
    ordered = sorted(groups.items(), key=lambda item: item[0][0] != "int8")
    return [_network(arm_of[name], precision, group, full[precision], score_of_sums) for (precision, name), group in ordered]


def _network(
    arm: StudyArm,
    precision: str,
    models: Sequence[ComparedModel],
    full: Sequence[ComparedModel],
    score_of_sums: ScoreOfSums | None,
) -> StudyNetwork:
    scores = [model.measurement.score for model in models]
    latency_ms, full_ms = (statistics.fmean(model.latency.p50_ms for model in group) for group in (models, full))
    return StudyNetwork(
        name=arm.name,
        kind=arm.kind,
        budget=arm.budget,
        precision=precision,
        models=tuple(models),
        score=statistics.fmean(scores),
        deviation=statistics.stdev(scores) if len(scores) > 1 else None,
        latency_ms=latency_ms,
        latency_ratio=latency_ms / full_ms,
        score_difference=statistics.fmean(scores) - statistics.fmean(model.measurement.score for model in full),
        score_interval=None if arm.kind == FULL else _interval(models, full, score_of_sums),
    )


def _interval(
    models: Sequence[ComparedModel], others: Sequence[ComparedModel], score_of_sums: ScoreOfSums | None
) -> Interval | None:
    groups = [[model.measurement.sums for model in group if model.measurement.sums is not None] for group in (models, others)]
    if score_of_sums is None or not all(groups):
        return None
    return difference_of_mean_scores(groups[0], groups[1], score_of_sums)


def study_comparisons(
    networks: Sequence[StudyNetwork], metric: Metric, score_of_sums: ScoreOfSums | None
) -> list[StudyComparison]:
    """Return how each pruned network, fine-tuned or from scratch, compares with others.

    These are the full network, the fastest narrower network that is at least as slow, and the other kinds at the same budget.
    """
    comparisons = []
    for pruned in (network for network in networks if network.kind in (UNITS, SCRATCH)):
        same = [other for other in networks if other.precision == pruned.precision]
        narrow = [other for other in same if other.kind == NARROW and other.latency_ms >= pruned.latency_ms]
        others = [other for other in same if other.kind in (FULL, FULL_SCRATCH)]
        others += [min(narrow, key=lambda other: other.latency_ms)] if narrow else []
        others += [
            other
            for kind in SAME_BUDGET
            if kind != pruned.kind
            for other in same
            if (other.kind, other.budget) == (kind, pruned.budget)
        ]
        for other in others:
            interval = _interval(pruned.models, other.models, score_of_sums)
            verdict = _verdict(interval, higher_is_better=metric.higher_is_better)
            comparisons.append(StudyComparison(pruned, other, pruned.score - other.score, interval, verdict))
    return comparisons


def _verdict(interval: Interval | None, *, higher_is_better: bool) -> str:
    if interval is None:
        return ""
    if interval.low <= 0 <= interval.high:
        return "not told apart"
    return "ahead" if (interval.low > 0) == higher_is_better else "behind"


@dataclass(frozen=True)
class StudySection:
    """A study: a figure for each precision, networks, comparisons, and what the kinds mean."""

    figures: dict[str, Figure]
    networks: list[StudyNetwork]
    comparisons: list[StudyComparison]
    meaning: dict[str, str]

    @property
    def colors(self) -> dict[str, str]:
        """Color of each kind in the figures."""
        return {kind: COLORS.get(kind, COLORS[FULL]) for kind in self.meaning}

    def to_json(self) -> dict[str, object]:
        """Plain data, as in `results.json`."""
        networks = [network.to_json() for network in self.networks]
        return {"networks": networks, "comparisons": [comparison.to_json() for comparison in self.comparisons]}


def study_section(
    arms: Sequence[StudyArm], models: Sequence[ComparedModel], metric: Metric, score_of_sums: ScoreOfSums | None
) -> StudySection | None:
    """Return the study of these arms; None if there are none."""
    if not arms:
        return None
    networks = study_networks(arms, models, score_of_sums)
    meaning = {kind: MEANING.get(kind, "") for kind in dict.fromkeys(network.kind for network in networks)}
    comparisons = study_comparisons(networks, metric, score_of_sums)
    return StudySection(study_figures(networks, metric.name), networks, comparisons, meaning)


def study_figures(networks: Sequence[StudyNetwork], metric: str) -> dict[str, Figure]:
    """Return accuracy against latency by precision, with the Pareto front; networks of the same kind are joined by lines."""
    figures = {}
    for precision in dict.fromkeys(network.precision for network in networks):
        points: list[Point] = []
        previous: dict[str, int] = {}
        for network in (network for network in networks if network.precision == precision):
            joined = previous.get(network.kind, previous.get(FULL))
            previous[network.kind] = len(points)
            point = Point(
                label=network.name,
                latency_ms=network.latency_ms,
                p90_ms=statistics.fmean(model.latency.p90_ms for model in network.models),
                accuracy=network.score,
                color=COLORS.get(network.kind, COLORS[FULL]),
                square=precision == "int8",
                reference=joined,
                deviation=network.deviation or 0.0,
            )
            points.append(point)
        figures[precision] = scatter_figure(points, metric, f"{metric} against latency, {precision}", front=True)
    return figures
