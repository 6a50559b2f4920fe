"""Several models on the same people and the same machine, side by side."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobile_eval.backend import Backend
from mobile_eval.bootstrap import Interval, difference_of_shares, ratio_of_medians
from mobile_eval.datasets.coco import KeypointDataset
from mobile_eval.environment import Environment
from mobile_eval.evaluate import EvaluationResult, check_joints, evaluate
from mobile_eval.files import check_output_folder, write_json, write_text
from mobile_eval.latency import ROUNDS, LatencyResult, bench_interleaved
from mobile_eval.metrics.figures import show
from mobile_eval.metrics.pck import PCK_THRESHOLD, found_joints
from mobile_eval.model_file import ModelDescription
from mobile_eval.runtime import CPU, TfliteModel
from mobile_eval.study import StudyArm, load_arms

FORMAT_VERSION = 1


@dataclass(frozen=True)
class ComparedModel:
    """One model's figures. `reference` is the index of the first model of the same precision, which ratios are to.

    `latency_ratio` is the ratio of the median latencies, `paired_latency_ratio` the median of the rounds' ratios. The intervals
    are of the latency ratio and of the difference in PCK; None for a reference itself.
    """

    label: str
    description: ModelDescription
    evaluation: EvaluationResult
    latency: LatencyResult
    reference: int
    latency_ratio: float
    paired_latency_ratio: float
    latency_interval: Interval | None
    pck_interval: Interval | None

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
            "pck_difference_interval": dataclasses.asdict(self.pck_interval) if self.pck_interval else None,
            "evaluation": self.evaluation.to_json(),
            "latency": self.latency.to_json(),
            "description": self.description.to_json(),
        }


@dataclass(frozen=True)
class ComparisonResult:
    """All models, in the order they were given, and what they were measured on and with."""

    models: tuple[ComparedModel, ...]
    dataset: KeypointDataset
    annotations: str
    command: str
    arms: tuple[StudyArm, ...] = ()

    @property
    def environment(self) -> Environment:
        """The machine."""
        return self.models[0].latency.after

    def __str__(self) -> str:
        wide = max(len(model.label) for model in self.models)
        lines = [f"{'model':<{wide}}      AP  PCK@{PCK_THRESHOLD:g}    links  p50 ms  p90 ms  ratio"]
        for model in self.models:
            links = f"{model.links_kept}/{model.links_possible}" if model.links_possible else "-"
            ap = show(model.evaluation.oks.ap if model.evaluation.oks else None)
            lines.append(
                f"{model.label:<{wide}}  {ap:>6}   {show(model.evaluation.pck.pck):>6}  "
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
            "annotations": self.annotations,
            "persons": len(self.dataset),
            "runtime": self.models[0].latency.runtime,
            "threads": self.models[0].latency.threads,
            "environment": dataclasses.asdict(self.environment),
            "models": models,
            "arms": [dataclasses.asdict(arm) for arm in self.arms],
        }


def compare(
    paths: Sequence[Path | str],
    dataset: KeypointDataset,
    output: Path | str,
    *,
    backend: Backend = CPU,
    rounds: int = ROUNDS,
    sigmas: Sequence[float] | None = None,
    annotations: str = "",
    command: str = "",
    arms: Path | None = None,
    progress: bool = False,
) -> ComparisonResult:
    """Measure the models' accuracy on `dataset` and their latency turn by turn; write the report into folder `output`.

    `annotations` and `command` are named in the report. `arms` is the manifest of a study that the models are of.
    """
    if not paths:
        raise ValueError("expected at least one model to compare, got none")
    study = load_arms(arms, labels(paths)) if arms else ()
    folder = check_output_folder(output)
    models = [TfliteModel(path, backend) for path in paths]
    for model in models:
        check_joints(model, dataset.category)
    latencies = bench_interleaved(paths, backend, rounds=rounds, progress=progress)
    evaluations = [evaluate(model, dataset, sigmas=sigmas, progress=progress) for model in models]
    result = ComparisonResult(
        models=_compared([model.description for model in models], labels(paths), evaluations, latencies, dataset),
        dataset=dataset,
        annotations=annotations,
        command=command,
        arms=study,
    )
    save_report(result, folder)
    return result


def save_report(result: ComparisonResult, folder: Path) -> None:
    """Write `results.json` and `index.html` into `folder`."""
    from mobile_eval.report import report_html

    write_json(folder / "results.json", result.to_json())
    write_text(folder / "index.html", report_html(result))


def labels(paths: Sequence[Path | str]) -> list[str]:
    """A short name for each file: its stem, with as many folders before it as make the names differ."""
    parts = [Path(path).with_suffix("").parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise ValueError(f"the same model is given twice: {', '.join(map(str, paths))}")


def _compared(
    descriptions: Sequence[ModelDescription],
    names: Sequence[str],
    evaluations: Sequence[EvaluationResult],
    latencies: Sequence[LatencyResult],
    dataset: KeypointDataset,
) -> tuple[ComparedModel, ...]:
    truth = np.stack([person.keypoints for person in dataset.persons])
    boxes = [person.box for person in dataset.persons]
    images = [person.image_id for person in dataset.persons]
    found = [found_joints(evaluation.keypoints, truth, boxes) for evaluation in evaluations]
    precisions = [description.precision for description in descriptions]
    models = []
    for index, latency in enumerate(latencies):
        reference = precisions.index(precisions[index])
        base = latencies[reference]
        paired = [own / other for own, other in zip(latency.samples_ms, base.samples_ms, strict=True)]
        ratios = latency.p50_ms / base.p50_ms, statistics.median(paired)
        intervals: tuple[Interval | None, Interval | None] = (None, None)
        if index != reference:
            accuracy = difference_of_shares(found[index], found[reference], truth[..., 2] > 0, images)
            intervals = ratio_of_medians(latency.samples_ms, base.samples_ms), accuracy
        models.append(
            ComparedModel(names[index], descriptions[index], evaluations[index], latency, reference, *ratios, *intervals)
        )
    return tuple(models)
