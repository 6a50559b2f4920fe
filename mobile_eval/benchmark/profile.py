"""Measure where a `.tflite` spends its time: by operator, and by part of the network.

XNNPACK runs a whole graph as one operation, and the Python runtimes have no profiler of single operators. Therefore each distinct
operator is extracted (`model.graph`) and timed by itself in the same runtime, as for the latency tables of hardware-aware
architecture search (Cai et al., ProxylessNAS, arXiv 1812.00332). A model with one copy of the operator and a model with several
take turns with all others and with the full model. The operator's time is the slope between the two, which leaves out the cost of
calling the runtime. The result includes the latency of the full model, so that the sum of its operators can be compared with it.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.benchmark.environment import Environment
from mobile_eval.benchmark.latency import ROUNDS, LatencyResult, bench_interleaved
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.model.archive import is_described, read_description
from mobile_eval.model.graph import Operator, TFLiteGraph
from mobile_eval.runtime.backend import CPU, Backend
from mobile_eval.tables import DataFrame, data_frame
from mobile_eval.typed import Json, JsonObject, checked

FORMAT_VERSION = 1
COPIES = 4
METHOD = "latency table: every distinct operator extracted and timed alone"
PART = re.compile(
    r"(stage\d+_module\d+_(?:link\d+to\d+|branch\d+_block\d+|fuse\d+)|transition\d+_branch\d+|stem|stage1|head)(?:_|$)"
)
OTHER = "other"


@dataclass(frozen=True)
class OperatorTime:
    """The time of an operator of the graph, with the layer and the part of the network that it belongs to."""

    index: int
    kind: str
    layer: str | None
    part: str
    ms: float


@dataclass(frozen=True)
class ProfileResult:
    """Times of a model's operators on one machine.

    Attributes:
        model: File name.
        sha256: Checksum of the file.
        runtime: TFLite runtime and its version.
        threads: Number of CPU threads.
        network: The network of the model's description; None without a description.
        operators: Times of the operators, in the order they run.
        measured_ms: Median latency of the full model, which took turns with its operators.
        environment: The machine.
        method: How the times were measured.

    Example:
        >>> result = hr.profile("full-int8.tflite")  # doctest: +SKIP
        >>> result.parts_ms()["stem"], result.to_pandas().groupby("kind")["ms"].sum()  # doctest: +SKIP
    """

    model: str
    sha256: str
    runtime: str
    threads: int
    network: JsonObject | None
    operators: tuple[OperatorTime, ...]
    measured_ms: float
    environment: Environment
    method: str = METHOD

    @property
    def sum_ms(self) -> float:
        """The sum of the operators' times."""
        return sum(operator.ms for operator in self.operators)

    def parts_ms(self) -> dict[str, float]:
        """Time of each part, in the order of the network.

        Parts are stem, stage1, head, transition branches, residual blocks, links, and the additions into each target of an
        exchange unit (`stage3_module0_fuse1`).
        """
        return _sum_by_name((operator.part, operator.ms) for operator in self.operators)

    def kinds_ms(self) -> dict[str, float]:
        """Time of each kind of operator, longest first."""
        sums = _sum_by_name((operator.kind, operator.ms) for operator in self.operators)
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    def to_json(self) -> JsonObject:
        """Convert to plain data."""
        sums = {"sum_ms": self.sum_ms, "parts_ms": self.parts_ms(), "kinds_ms": self.kinds_ms()}
        return {"format_version": FORMAT_VERSION, **sums, **dataclasses.asdict(self)}

    def to_pandas(self) -> DataFrame:
        """A data frame with a row for each operator. Raises HRNetError if pandas is not installed."""
        return data_frame([dataclasses.asdict(operator) for operator in self.operators])

    @classmethod
    def from_json(cls, data: Json) -> ProfileResult:
        """Read what `to_json` returned.

        Raises:
            HRNetError: `data` is not a profile.
        """
        if not isinstance(data, dict) or data.get("format_version") != FORMAT_VERSION or "operators" not in data:
            raise HRNetError("not a profile; `python -m mobile_eval profile M.tflite --json profile.json` makes one")
        result: ProfileResult = checked(data, cls, "not a profile", extra=True)
        if min((operator.ms for operator in result.operators), default=-1.0) < 0 or not (result.sum_ms > 0 < result.measured_ms):
            raise HRNetError("not a profile: expected operators, and times of the operators and of the full model above 0 ms")
        return result

    def __str__(self) -> str:
        lines = [f"{self.model}: {self.runtime}, {self.threads} thread{'s' if self.threads > 1 else ''}"]
        for title, times in (("operator", self.kinds_ms()), ("part", grouped_ms(self))):
            lines.append(f"  {title:<26} {'ms':>8} {'share':>6}")
            lines += [f"  {name:<26} {ms:>8.3f} {ms / self.sum_ms:>6.1%}" for name, ms in times.items()]
        ratio = self.sum_ms / self.measured_ms
        lines.append(f"  sum {self.sum_ms:.3f} ms, {ratio:.3f} of the full model's latency, {self.measured_ms:.3f} ms")
        return "\n".join([*lines, f"  {self.method}"])


def load_profile(path: Path | str) -> ProfileResult:
    """Read the JSON of a profile.

    Raises:
        HRNetError: The file cannot be read, or is not a profile.
    """
    data = read_json(path, "profile")
    try:
        return ProfileResult.from_json(data)
    except HRNetError as error:
        raise HRNetError(f"{path}: {error}") from error


def part_of(layer: str | None) -> str:
    """The part of the network that a layer belongs to.

    Example:
        >>> part_of("stage4_module2_link0to3_conv2")
        'stage4_module2_link0to3'
    """
    match = PART.match(layer or "")
    return match[1] if match else OTHER


def group_of(part: str) -> str:
    """The group of a part: stem, stage1, head, transitions, or the links, fusion sums or one branch of a stage.

    Example:
        >>> group_of("stage4_module2_link0to3")
        'stage4 links'
    """
    if "_link" in part:
        return f"{part.split('_')[0]} links"
    if "_fuse" in part:
        return f"{part.split('_')[0]} fusion sums"
    if "_branch" in part and part.startswith("stage"):
        return f"{part.split('_')[0]} {part.split('_')[2]}"
    return "transitions" if part.startswith("transition") else part


def grouped_ms(result: ProfileResult) -> dict[str, float]:
    """Time of each group of parts (`group_of`), stages in the order of the network."""
    sums = _sum_by_name((group_of(part), ms) for part, ms in result.parts_ms().items())
    stages = list(dict.fromkeys(name.split()[0] for name in sums))
    return dict(sorted(sums.items(), key=lambda item: (stages.index(item[0].split()[0]), item[0])))


def profile(path: Path | str, backend: Backend = CPU, *, rounds: int = ROUNDS, progress: bool = False) -> ProfileResult:
    """Time every distinct operator of a model, and the full model.

    Args:
        path: The model; any `.tflite`.
        backend: Runtime, threads and delegate.
        rounds: Number of rounds in which the operators and the full model take turns.
        progress: Whether to show a progress bar.

    Raises:
        HRNetError: The model cannot be read or run.
    """
    graph = TFLiteGraph(path)
    network = read_description(path).network if is_described(path) else None
    full_model, times = _timed_operators(graph, backend, rounds, progress)
    return ProfileResult(
        model=Path(path).name,
        sha256=full_model.sha256,
        runtime=full_model.runtime,
        threads=backend.threads,
        network=network,
        operators=tuple(OperatorTime(o.index, o.kind, o.layer, part_of(o.layer), times[o.signature]) for o in graph.operators),
        measured_ms=full_model.p50_ms,
        environment=full_model.after,
    )


def _timed_operators(graph: TFLiteGraph, backend: Backend, rounds: int, progress: bool) -> tuple[LatencyResult, dict[str, float]]:
    """The latency of the full model, and the time of each distinct operator by its signature."""
    distinct: dict[str, Operator] = {}
    for operator in graph.operators:
        distinct.setdefault(operator.signature, operator)
    with tempfile.TemporaryDirectory() as folder:
        paths = [graph.path]
        for number, operator in enumerate(distinct.values()):
            for copies in (1, COPIES):
                paths.append(Path(folder, f"{number}x{copies}.tflite"))
                paths[-1].write_bytes(graph.extract(operator.index, copies))
        full_model, *extracted = bench_interleaved(paths, backend, rounds=rounds, progress=progress)
    times = {
        signature: max(several.p50_ms - single.p50_ms, 0.0) / (COPIES - 1)
        for signature, single, several in zip(distinct, extracted[::2], extracted[1::2], strict=True)
    }
    return full_model, times


def _sum_by_name(items: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for name, value in items:
        sums[name] += value
    return dict(sums)
