"""What a comparison of models gives: figures, as text, as JSON and for the report."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from mobile_eval.benchmark.bootstrap import Interval
from mobile_eval.benchmark.environment import Environment
from mobile_eval.benchmark.latency import LatencyResult
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.metrics.metric import format_score, none_if_nan
from mobile_eval.model.description import ModelDescription
from mobile_eval.report.study import StudyArm
from mobile_eval.report.task_report import Comparing, Measured
from mobile_eval.tasks.base import Asked
from mobile_eval.tasks.registry import comparing_of

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ComparedModel:
    """One model's figures. `reference` is the index of the first model of the same precision, which ratios are to.

    `latency_ratio` is the ratio of the median latencies, `paired_latency_ratio` the median of the rounds' ratios. The intervals
    are of the latency ratio and of the difference in the task's metric; None for a reference itself.
    """

    label: str
    description: ModelDescription
    measured: Measured
    latency: LatencyResult
    reference: int
    latency_ratio: float
    paired_latency_ratio: float
    latency_interval: Interval | None
    score_interval: Interval | None

    @property
    def links_kept(self) -> int:
        """Number of fusion links it has."""
        return len(self.description.network.get("links", ()))

    @property
    def links_possible(self) -> int:
        """Number of fusion links of the same network at full connectivity."""
        return self.links_kept + len(self.description.network.get("removed_links", ()))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "label": self.label,
            "links_kept": self.links_kept,
            "links_possible": self.links_possible,
            "latency_ratio": self.latency_ratio,
            "paired_latency_ratio": self.paired_latency_ratio,
            "latency_ratio_interval": dataclasses.asdict(self.latency_interval) if self.latency_interval else None,
            "score": none_if_nan(self.measured.score),
            "score_difference_interval": dataclasses.asdict(self.score_interval) if self.score_interval else None,
            "evaluation": self.measured.result.to_json(),
            "latency": self.latency.to_json(),
            "description": self.description.to_json(),
        }


@dataclass(frozen=True)
class ComparisonResult:
    """All models, in the order they were given, and what they were measured on and with."""

    models: tuple[ComparedModel, ...]
    task: str
    dataset: TaskDataset
    asked: Asked
    command: str
    arms: tuple[StudyArm, ...] = ()

    @property
    def comparing(self) -> Comparing:
        """What their task is measured by."""
        return comparing_of(self.task)

    @property
    def environment(self) -> Environment:
        """The machine."""
        return self.models[0].latency.after

    def __str__(self) -> str:
        wide = max(len(model.label) for model in self.models)
        first, second = self.comparing.second, self.comparing.metric.name
        lines = [f"{'model':<{wide}}  {first:>6}  {second:>6}    links  p50 ms  p90 ms  ratio"]
        for model in self.models:
            links = f"{model.links_kept}/{model.links_possible}" if model.links_possible else "-"
            second_score, score = format_score(model.measured.second), format_score(model.measured.score)
            lines.append(
                f"{model.label:<{wide}}  {second_score:>{max(6, len(first))}}  {score:>{max(6, len(second))}}  "
                f"{links:>7}  {model.latency.p50_ms:>6.2f}  {model.latency.p90_ms:>6.2f}  "
                f"{model.latency_ratio:>5.2f} to {self.models[model.reference].label}"
            )
        return "\n".join(lines)

    def picture_pair(self) -> tuple[int, ...]:
        """The models whose predictions are worth showing beside each other, by index.

        Of the first precision with several models, int8 before others: the reference and the one with fewest links,
        or where none has links, the next.
        """
        by_precision = sorted({model.description.precision for model in self.models}, key=lambda name: name != "int8")
        for precision in by_precision:
            first, *rest = [i for i, model in enumerate(self.models) if model.description.precision == precision]
            if rest:
                with_links = [index for index in rest if self.models[index].links_possible]
                return first, min(with_links or rest, key=lambda index: self.models[index].links_kept)
        return tuple(range(min(len(self.models), 2)))

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `results.json` holds it."""
        models = [{**model.to_json(), "reference": self.models[model.reference].label} for model in self.models]
        return {
            "format_version": FORMAT_VERSION,
            "command": self.command,
            "task": self.task,
            "metric": dataclasses.asdict(self.comparing.metric),
            "data": self.asked.source.to_json(),
            "items": len(self.dataset),
            "runtime": self.models[0].latency.runtime,
            "threads": self.models[0].latency.threads,
            "environment": dataclasses.asdict(self.environment),
            "models": models,
            "arms": [dataclasses.asdict(arm) for arm in self.arms],
        }
