"""What is read of a `results.json` that `hrnet compare` wrote on a device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobile_eval.benchmark.bootstrap import Interval
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.typed import brief, checked


@dataclass(frozen=True)
class MeasuredLatency:
    """Of one image, in milliseconds."""

    p50_ms: float
    p90_ms: float

    def __post_init__(self) -> None:
        if not 0 < self.p50_ms <= self.p90_ms:
            raise HRNetError(f"expected 0 < p50_ms <= p90_ms, got {self.p50_ms:g} and {self.p90_ms:g}")


@dataclass(frozen=True)
class DescribedPrecision:
    """What of a model's description is needed here."""

    precision: str


@dataclass(frozen=True)
class MeasuredModel:
    """One model; `reference` is the label of the one that its ratio is to. Intervals are missing where only one was measured."""

    label: str
    reference: str
    description: DescribedPrecision
    latency: MeasuredLatency
    latency_ratio: float
    score: float | None = None
    latency_ratio_interval: Interval | None = None
    score_difference_interval: Interval | None = None


@dataclass(frozen=True)
class DeviceEnvironment:
    """The machine, and when it measured."""

    processor: str
    architecture: str
    date: str


@dataclass(frozen=True)
class MeasuredBy:
    """The metric of the models' task."""

    name: str


@dataclass(frozen=True)
class DeviceResults:
    """Models by label, and what they were measured on and with."""

    environment: DeviceEnvironment
    runtime: str
    threads: int
    models: tuple[MeasuredModel, ...]
    items: int
    metric: MeasuredBy

    def __post_init__(self) -> None:
        labels = {model.label for model in self.models}
        if not self.models or len(labels) < len(self.models):
            raise HRNetError(f"its models are {brief([model.label for model in self.models])}: expected different ones")
        unknown = next((model for model in self.models if model.reference not in labels), None)
        if unknown is not None:
            raise HRNetError(f"{unknown.label} is compared with {unknown.reference}, which is not there")


def read_results(path: Path) -> DeviceResults:
    """The results at `path`, with the score of each model. HRNetError names the file and the entry that is wrong."""
    where = f"{path} is not the results.json of `hrnet compare`"
    results: DeviceResults = checked(read_json(path, "results"), DeviceResults, where, extra=True)
    return results


def score_of(model: MeasuredModel, path: Path) -> float:
    """The model's score; HRNetError where it has none, as where nothing could be measured."""
    if model.score is None:
        raise HRNetError(f"{path}: {model.label} has no score to compare")
    return model.score
