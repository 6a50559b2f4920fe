"""The steps from a network to its pruned one, as pruning.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from hrnet_tf.runs.run import Run
from hrnet_tf.spec.network import HRNetSpec, Unit, parse_unit
from mobile_eval.files import read_json, write_json
from mobile_eval.typed import JsonObject, checked

PRUNING_FILE = "pruning.json"


@dataclass(frozen=True)
class RemovalStep:
    """One step of a removal plan.

    Attributes:
        removed: Names of the fusion links and residual blocks that were removed.
        unreachable: Names of the links and branch modules that no longer influence an output, and are not built any more.
        importance: Importance of the removed units by the ranking.
        cost: Cost of the network after the step.
        ratio: That cost over the cost of the full network.
        loss: Loss after the step, before any fine-tuning. None if it was not measured.
        score: The task's metric after the step, before any fine-tuning. None if it was not measured.
    """

    removed: tuple[str, ...]
    unreachable: tuple[str, ...]
    importance: float
    cost: float
    ratio: float
    loss: float | None = None
    score: float | None = None

    def __post_init__(self) -> None:
        for name in self.removed:
            parse_unit(name)

    @property
    def units(self) -> tuple[Unit, ...]:
        """The removed fusion links and residual blocks."""
        return tuple(map(parse_unit, self.removed))

    def to_json(self) -> JsonObject:
        """Return the step as plain data, with lists."""
        return {**dataclasses.asdict(self), "removed": list(self.removed), "unreachable": list(self.unreachable)}


@dataclass(frozen=True)
class RemovalPlan:
    """Which units to remove, in which order, and what each step saves and costs.

    Attributes:
        steps: The steps, from the network as it is.
        metric: Name of the task's metric.
        cost_unit: Unit of the costs: "ms" or "multiply-adds".
        full_cost: Cost of the full network.
        full_loss: Loss of the network before the first step.
        full_score: Metric of the network before the first step.
        predicted_ratio: Cost after the last step over `full_cost`.
        measured_ratio: Measured latency after the last step over that of the full network. None if it was not measured.
    """

    steps: tuple[RemovalStep, ...]
    metric: str
    cost_unit: str
    full_cost: float
    full_loss: float
    full_score: float
    predicted_ratio: float
    measured_ratio: float | None


@dataclass(frozen=True)
class PruningRecord:
    """Content of pruning.json: the run that was pruned, the options (plain data) and the plan."""

    source_run: str
    options: JsonObject
    plan: RemovalPlan


def spec_after(spec: HRNetSpec, steps: Iterable[RemovalStep]) -> HRNetSpec:
    """Return the network after these steps."""
    for step in steps:
        spec = spec.without(step.units)
    return spec


def save_pruning(run: Run, record: PruningRecord) -> None:
    """Write pruning.json."""
    write_json(run.path / PRUNING_FILE, dataclasses.asdict(record))


def load_pruning(run: Run) -> PruningRecord | None:
    """Read pruning.json; None if the run was not pruned. Raises HRNetError, naming the entry, if the file is damaged."""
    path = run.path / PRUNING_FILE
    if not path.is_file():
        return None
    record: PruningRecord = checked(read_json(path, "pruning"), PruningRecord, f"{path} is damaged or of another version")
    return record
