"""The result of a comparison: figures of every model, as text, as JSON and for the report."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_eval.benchmark.bootstrap import Interval
from mobile_eval.benchmark.environment import Environment
from mobile_eval.benchmark.latency import LatencyResult
from mobile_eval.datasets.base import DataSource, TaskDataset
from mobile_eval.metrics.metric import format_score, none_if_nan
from mobile_eval.model.description import ModelDescription
from mobile_eval.report.arms import UNITS, StudyArm
from mobile_eval.report.chains import ChainsTable, chains_table
from mobile_eval.tables import DataFrame, data_frame
from mobile_eval.tasks.base import AnyTask, TaskResult
from mobile_eval.tasks.report import ModelMeasurement

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ComparedModel:
    """Figures of one model.

    Attributes:
        label: Name of the model in the report.
        description: What the file says of itself.
        result: Accuracy, as the task's `evaluate` measured it.
        measurement: Figures of the result that are compared.
        latency: Latency, measured in turns with the other models.
        reference: Index of the first model of the same precision; ratios and differences are to it.
        latency_ratio: Median latency over that of the reference.
        paired_latency_ratio: Median, over the rounds, of the ratio of latencies.
        latency_interval: 95 % interval of the latency ratio; None for a reference.
        score_interval: 95 % interval of the difference in the task's metric; None for a reference, and if the metric is not a
            function of sums over images.
    """

    label: str
    description: ModelDescription
    result: TaskResult
    measurement: ModelMeasurement
    latency: LatencyResult
    reference: int
    latency_ratio: float
    paired_latency_ratio: float
    latency_interval: Interval | None
    score_interval: Interval | None

    @property
    def links_kept(self) -> int:
        """Number of fusion links of the model."""
        return len(self.description.network.get("links", ()))

    @property
    def links_possible(self) -> int:
        """Number of fusion links of the same network with all links."""
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
            "score": none_if_nan(self.measurement.score),
            "score_difference_interval": dataclasses.asdict(self.score_interval) if self.score_interval else None,
            "evaluation": self.result.to_json(),
            "latency": self.latency.to_json(),
            "description": self.description.to_json(),
        }


@dataclass(frozen=True)
class ComparisonResult:
    """All models in the order in which they were given, and how they were measured.

    Attributes:
        models: The figures of each model.
        task: The task.
        dataset: The data set that they were evaluated on.
        source: Where it is.
        report: The page, `index.html`; `results.json` is beside it.
        command: The command line that the page names, if any.
        arms: The arms of the study that the models belong to, if any.

    Example:
        >>> result = hr.compare(["full-int8.tflite", "pruned-int8.tflite"], data, "report")  # doctest: +SKIP
        >>> print(result, result.report)  # doctest: +SKIP
        >>> result.to_pandas()[["model", "PCK@0.1", "p50_ms", "ratio"]]  # doctest: +SKIP
    """

    models: tuple[ComparedModel, ...]
    task: AnyTask
    dataset: TaskDataset
    source: DataSource
    report: Path
    command: str = ""
    arms: tuple[StudyArm, ...] = ()

    @property
    def environment(self) -> Environment:
        """The machine."""
        return self.models[0].latency.after

    def __str__(self) -> str:
        label_width = max(len(model.label) for model in self.models)
        secondary, primary = self.task.report().secondary_metric, self.task.metric.name
        lines = [f"{'model':<{label_width}}  {secondary:>6}  {primary:>6}    links  p50 ms  p90 ms  ratio"]
        for model in self.models:
            links = f"{model.links_kept}/{model.links_possible}" if model.links_possible else "-"
            secondary_score, score = format_score(model.measurement.secondary_score), format_score(model.measurement.score)
            lines.append(
                f"{model.label:<{label_width}}  {secondary_score:>{max(6, len(secondary))}}  {score:>{max(6, len(primary))}}  "
                f"{links:>7}  {model.latency.p50_ms:>6.2f}  {model.latency.p90_ms:>6.2f}  "
                f"{model.latency_ratio:>5.2f} to {self.models[model.reference].label}"
            )
        chains = self.chains
        return "\n".join(lines) + (f"\n\n{chains}" if chains else "")

    @property
    def chains(self) -> ChainsTable | None:
        """The pipelines of a detector with each model; None without a detector."""
        models = self.models
        return chains_table(
            [model.label for model in models], [model.result for model in models], [model.reference for model in models]
        )

    def to_pandas(self) -> DataFrame:
        """A data frame with a row for each model. Raises HRNetError if pandas is not installed."""
        return data_frame([self._row(model) for model in self.models])

    def _row(self, model: ComparedModel) -> dict[str, Any]:
        latency, score = model.latency_interval, model.score_interval
        return {
            "model": model.label,
            self.task.report().secondary_metric: model.measurement.secondary_score,
            self.task.metric.name: model.measurement.score,
            "score_difference_low": score.low if score else None,
            "score_difference_high": score.high if score else None,
            "links": model.links_kept,
            "p50_ms": model.latency.p50_ms,
            "p90_ms": model.latency.p90_ms,
            "ratio": model.latency_ratio,
            "ratio_low": latency.low if latency else None,
            "ratio_high": latency.high if latency else None,
            "reference": self.models[model.reference].label,
            "size_bytes": model.latency.size_bytes,
        }

    def example_pair(self) -> tuple[int, ...]:
        """Indices of the models whose predictions the report shows side by side.

        They are of the first precision that several models have, int8 before others: the reference and the model with the fewest
        links, or the next model if none has links. Of a study, pruned models come before others.
        """
        pruned = {label for arm in self.arms if arm.kind == UNITS for label in arm.labels}
        precisions = sorted({model.description.precision for model in self.models}, key=lambda name: name != "int8")
        for precision in precisions:
            first, *others = [i for i, model in enumerate(self.models) if model.description.precision == precision]
            if others:
                others = [index for index in others if self.models[index].label in pruned] or others
                with_links = [index for index in others if self.models[index].links_possible]
                return first, min(with_links or others, key=lambda index: self.models[index].links_kept)
        return tuple(range(min(len(self.models), 2)))

    def to_json(self) -> dict[str, Any]:
        """Plain data, as in `results.json`."""
        models = [{**model.to_json(), "reference": self.models[model.reference].label} for model in self.models]
        return {
            "format_version": FORMAT_VERSION,
            "command": self.command,
            "task": self.task.name,
            "metric": dataclasses.asdict(self.task.metric),
            "data": self.source.to_json(),
            "items": len(self.dataset),
            "runtime": self.models[0].latency.runtime,
            "threads": self.models[0].latency.threads,
            "environment": dataclasses.asdict(self.environment),
            "models": models,
            "arms": [dataclasses.asdict(arm) for arm in self.arms],
        }
