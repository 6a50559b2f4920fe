"""The plan from a network to its pruned one, and how a run keeps it: pruning.json."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from pathlib import Path

from hrnet_tf.runs.run import Run
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import Unit, parse_unit
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json, write_json, write_text
from mobile_eval.tables import DataFrame, data_frame, text_table
from mobile_eval.typed import JsonObject, checked, checked_entry

PRUNING_FILE = "pruning.json"


@dataclass(frozen=True)
class RemovalStep:
    """One step of a removal plan.

    Attributes:
        removed: Names of the fusion links and residual blocks that were removed.
        unreachable: Names of the links and branch modules that no longer influence an output, and are not built any more.
        importance: Importance of the removed units by the ranking, and of the removed channels.
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
class Plan:
    """Which links, blocks and channels to remove from a network, in which order, and what each step saves and costs.

    Attributes:
        model_spec: The network before the first step.
        steps: The steps; an exact selection has one.
        importance: Importance of each unit that may be removed, by its name.
        cost_unit: Unit of the costs: "ms" or "multiply-adds".
        model_cost: Cost of the network before the first step.
        full_cost: Cost of the full network.
        measured_ratio: Measured latency after the last step over that of the full network. None if it was not measured.
        metric: Name of the metric of the scores. None if there is none.
        model_loss: Loss before the first step. None if it was not measured.
        model_score: Metric before the first step. None if it was not measured.
        channels: Indices of the kept channels of each width group that becomes narrower, among those of the network before.
        bound: Least importance that any network within the budget loses, by an exact selection. None for a greedy one.

    Example:
        >>> plan = hr.plan(model, ranking, keep_latency=0.7)  # doctest: +SKIP
        >>> print(plan)  # doctest: +SKIP
        >>> plan.plot("removed.svg")  # doctest: +SKIP
        >>> smaller = hr.prune(model, plan)  # doctest: +SKIP
    """

    model_spec: HRNetSpec
    steps: tuple[RemovalStep, ...]
    importance: dict[str, float]
    cost_unit: str
    model_cost: float
    full_cost: float
    measured_ratio: float | None = None
    metric: str | None = None
    model_loss: float | None = None
    model_score: float | None = None
    channels: dict[str, tuple[int, ...]] = field(default_factory=dict)
    bound: float | None = None

    def __post_init__(self) -> None:
        for group, kept in self.channels.items():
            width = self.model_spec.width_of(group)
            if list(kept) != sorted({*kept} & {*range(width)}):
                raise HRNetError(f"`channels` of {group} must be some of the indices 0 to {width - 1} in order")

    @functools.cached_property
    def spec(self) -> HRNetSpec:
        """The network after the last step."""
        spec = self.model_spec
        for step in self.steps:
            spec = spec.without(step.units)
        return spec.with_widths({group: len(kept) for group, kept in self.channels.items()})

    @property
    def predicted_ratio(self) -> float:
        """Cost after the last step over that of the full network."""
        return (self.steps[-1].cost if self.steps else self.model_cost) / self.full_cost

    def rows(self) -> list[JsonObject]:
        """Return a row for the network before and one for each step, by the names of the columns of `to_pandas`."""
        ratio = self.model_cost / self.full_cost
        before = RemovalStep((), (), 0.0, self.model_cost, ratio, self.model_loss, self.model_score)
        return [{"step": number, **step.to_json()} for number, step in enumerate((before, *self.steps))]

    def table(self) -> str:
        """Return the steps as a table, with the loss and the metric, before any fine-tuning, where they were measured."""
        cost, scale, form = ("ms", 1.0, ".3f") if self.cost_unit == "ms" else ("M multiply-adds", 1e-6, ".1f")
        measured = {"loss": "loss", "score": self.metric or "metric"}
        measured = {key: name for key, name in measured.items() if any(row[key] is not None for row in self.rows())}
        rows = []
        for row in self.rows():
            numbers = [f"{row['cost'] * scale:{form}}", f"{row['ratio']:.3f}"]
            numbers += ["-" if row[key] is None else f"{row[key]:.4g}" for key in measured]
            rows.append([str(row["step"]), "\n".join(row["removed"]), "\n".join(row["unreachable"]), *numbers])
        return text_table(["step", "removed", "becomes unreachable", cost, "of full", *measured.values()], rows, left=3)

    def __str__(self) -> str:
        quantity = "latency" if self.cost_unit == "ms" else self.cost_unit
        measured = "" if self.measured_ratio is None else f", measured {self.measured_ratio:.3f}"
        kept = f"{units_kept(self.spec)} kept: predicted {self.predicted_ratio:.3f} of the full network's {quantity}{measured}"
        return "\n".join([self.table(), *self._narrowed(), *self._exactness(), kept])

    def _narrowed(self) -> list[str]:
        """The widths of streams, and how many groups of inner channels become narrower."""
        streams = {group: len(kept) for group, kept in self.channels.items() if "_conv" not in group or group.startswith("stem")}
        texts = [f"{group} {self.model_spec.width_of(group)} to {width}" for group, width in sorted(streams.items())]
        if inner := len(self.channels) - len(streams):
            texts.append(f"inner channels of {inner} convolutions")
        return [f"narrowed: {', '.join(texts)}"] if texts else []

    def _exactness(self) -> list[str]:
        if self.bound is None:
            return []
        lost = sum(step.importance for step in self.steps)
        return [f"importance lost: {lost:.4g}; no selection within the budget loses less than {self.bound:.4g}"]

    def to_json(self) -> JsonObject:
        """Return the plan as plain data."""
        steps = [step.to_json() for step in self.steps]
        return {**dataclasses.asdict(self), "model_spec": self.model_spec.to_json(), "steps": steps}

    @classmethod
    def from_json(cls, data: JsonObject, place: str = "not a plan") -> Plan:
        """Return the plan that `to_json` wrote. Raises HRNetError, which begins with `place`, if it is none."""
        entries = checked(data, JsonObject, place)
        try:
            spec = HRNetSpec.from_json(checked_entry(entries, "model_spec", JsonObject, place))
            plan: Plan = checked({**entries, "model_spec": spec}, cls, place)
            _ = plan.spec  # the network has the removed units
        except HRNetError as error:
            raise HRNetError(str(error) if str(error).startswith(place) else f"{place}: {error}") from error
        return plan

    def to_pandas(self) -> DataFrame:
        """Return the rows as a data frame of pandas. Raises HRNetError if pandas is not installed."""
        return data_frame(self.rows())

    def plot(self, path: Path | str | None = None) -> str:
        """Draw the links of the network, kept and removed.

        Args:
            path: SVG file to write; None for none.

        Returns:
            SVG text.
        """
        from mobile_eval.viz.link_diagram import link_diagram_svg

        links = {link.name for link in self.model_spec.links}
        svg = link_diagram_svg(
            self.spec.network_description(), {name: value for name, value in self.importance.items() if name in links}
        )
        if path is not None:
            write_text(Path(path), svg)
        return svg


def units_kept(spec: HRNetSpec) -> str:
    """Return how many links, and blocks and channels if any were removed, a network has: "13 of 23 links, 11 of 12 blocks"."""
    text = f"{len(spec.links)} of {len(spec.possible_links)} links"
    if spec.removed_blocks:
        text += f", {len(spec.live_blocks)} of {len(spec.possible_blocks)} blocks"
    if spec.widths:
        text += f", {sum(map(spec.width_of, spec.full_widths))} of {sum(spec.full_widths.values())} channels"
    return text


@dataclass(frozen=True)
class PruningRecord:
    """Content of pruning.json: the run that was pruned, the options (plain data) and the plan."""

    source_run: str
    options: JsonObject
    plan: Plan


def save_pruning(run: Run, record: PruningRecord) -> None:
    """Write pruning.json."""
    write_json(run.path / PRUNING_FILE, {**vars(record), "plan": record.plan.to_json()})


def load_pruning(run: Run) -> PruningRecord | None:
    """Read pruning.json; None if the run was not pruned. Raises HRNetError, naming the entry, if the file is damaged."""
    path = run.path / PRUNING_FILE
    if not path.is_file():
        return None
    place = f"{path} is damaged or of another version"
    data = checked(read_json(path, "pruning"), JsonObject, place)
    plan = Plan.from_json(checked_entry(data, "plan", JsonObject, place), f"{place}: plan")
    record: PruningRecord = checked({**data, "plan": plan}, PruningRecord, place)
    return record
