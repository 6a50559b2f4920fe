"""Where a `.tflite` spends its time: by operator, and by the network's own parts.

XNNPACK runs a whole graph as one operation and the Python runtimes offer no profiler of single operators. So each
distinct operator is cut out (`tflite_graph`) and timed alone through the same runtime, as the latency tables of
hardware-aware architecture search are made (Cai et al., ProxylessNAS, arXiv 1812.00332): a model with one and a
model with several copies of it take turns with all the others and with the whole network, and an operator's time
is the slope between the two, which leaves out what calling the runtime costs. How far the sum is from the
measured whole is part of the result.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_eval.benchmark.environment import Environment
from mobile_eval.benchmark.latency import ROUNDS, bench_interleaved
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.model.archive import is_described, read_description
from mobile_eval.model.graph import Operator, TFLiteGraph
from mobile_eval.runtime.backend import CPU, Backend
from mobile_eval.typed import checked

FORMAT_VERSION = 1
COPIES = 4
METHOD = "latency table: every distinct operator cut out and timed alone"
PART = re.compile(
    r"(stage\d+_module\d+_(?:link\d+to\d+|branch\d+_block\d+|fuse\d+)|transition\d+_branch\d+|stem|stage1|head)(?:_|$)"
)
OTHER = "other"


@dataclass(frozen=True)
class OperatorTime:
    """One operator of the graph, the part of the network that it belongs to, and its time."""

    index: int
    kind: str
    layer: str | None
    part: str
    ms: float


@dataclass(frozen=True)
class ProfileResult:
    """Times of a model's operators on one machine. `network` is that of the model's description (None without one).

    `whole_ms` is the median of the whole network, taken in turn with its operators.
    """

    model: str
    sha256: str
    runtime: str
    threads: int
    network: dict[str, Any] | None
    operators: tuple[OperatorTime, ...]
    whole_ms: float
    environment: Environment
    method: str = METHOD

    @property
    def sum_ms(self) -> float:
        """All operators together."""
        return sum(operator.ms for operator in self.operators)

    def parts_ms(self) -> dict[str, float]:
        """Time of each part, in the order of the network.

        Parts are stem, stage1, head, transition branches, residual blocks, links, and the additions into each
        target of an exchange unit (`stage3_module0_fuse1`).
        """
        return _summed((operator.part, operator.ms) for operator in self.operators)

    def kinds_ms(self) -> dict[str, float]:
        """Time of each kind of operator, most first."""
        summed = _summed((operator.kind, operator.ms) for operator in self.operators)
        return dict(sorted(summed.items(), key=lambda item: -item[1]))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        sums = {"sum_ms": self.sum_ms, "parts_ms": self.parts_ms(), "kinds_ms": self.kinds_ms()}
        return {"format_version": FORMAT_VERSION, **sums, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, data: Any) -> ProfileResult:
        """The profile that `to_json` wrote; HRNetError for anything else."""
        if not isinstance(data, dict) or data.get("format_version") != FORMAT_VERSION or "operators" not in data:
            raise HRNetError("not a profile; `python -m mobile_eval profile M.tflite --json profile.json` makes one")
        result: ProfileResult = checked(data, cls, "not a profile", extra=True)
        if min((operator.ms for operator in result.operators), default=-1.0) < 0 or not (result.sum_ms > 0 < result.whole_ms):
            raise HRNetError("not a profile: expected operators whose times, and that of the whole network, are above 0 ms")
        return result

    def __str__(self) -> str:
        lines = [f"{self.model}: {self.runtime}, {self.threads} thread{'s' if self.threads > 1 else ''}"]
        for title, times in (("operator", self.kinds_ms()), ("part", grouped_ms(self))):
            lines.append(f"  {title:<26} {'ms':>8} {'share':>6}")
            lines += [f"  {name:<26} {ms:>8.3f} {ms / self.sum_ms:>6.1%}" for name, ms in times.items()]
        lines.append(
            f"  sum {self.sum_ms:.3f} ms, {self.sum_ms / self.whole_ms:.3f} of the measured whole, {self.whole_ms:.3f} ms"
        )
        return "\n".join([*lines, f"  {self.method}"])


def load_profile(path: Path | str) -> ProfileResult:
    """Read a profile; HRNetError names the file where it is none."""
    try:
        return ProfileResult.from_json(read_json(path, "profile"))
    except HRNetError as error:
        raise HRNetError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from error


def part_of(layer: str | None) -> str:
    """The part of the network that a layer belongs to."""
    match = PART.match(layer or "")
    return match[1] if match else OTHER


def group_of(part: str) -> str:
    """What kind of part it is: stem, stage1, head, transitions, links, fusion sums, or the branches of one stage."""
    if "_link" in part:
        return f"{part.split('_')[0]} links"
    if "_fuse" in part:
        return f"{part.split('_')[0]} fusion sums"
    if "_branch" in part and part.startswith("stage"):
        return f"{part.split('_')[0]} {part.split('_')[2]}"
    return "transitions" if part.startswith("transition") else part


def grouped_ms(result: ProfileResult) -> dict[str, float]:
    """Time of each kind of part (`group_of`), stages in the order of the network."""
    summed = _summed((group_of(part), ms) for part, ms in result.parts_ms().items())
    stages = list(dict.fromkeys(name.split()[0] for name in summed))
    return dict(sorted(summed.items(), key=lambda item: (stages.index(item[0].split()[0]), item[0])))


def profile(path: Path | str, backend: Backend = CPU, *, rounds: int = ROUNDS, progress: bool = False) -> ProfileResult:
    """Time every distinct operator of the model at `path`, and the whole, in turn."""
    graph = TFLiteGraph(path)
    network = read_description(path).network if is_described(path) else None
    distinct: dict[str, Operator] = {}
    for operator in graph.operators:
        distinct.setdefault(operator.signature, operator)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(path)]
        for number, operator in enumerate(distinct.values()):
            for copies in (1, COPIES):
                paths.append(Path(folder, f"{number}x{copies}.tflite"))
                paths[-1].write_bytes(graph.extract(operator.index, copies))
        whole, *single = bench_interleaved(paths, backend, rounds=rounds, progress=progress)
    times = {
        signature: max(several.p50_ms - one.p50_ms, 0.0) / (COPIES - 1)
        for signature, one, several in zip(distinct, single[::2], single[1::2], strict=True)
    }
    return ProfileResult(
        model=Path(path).name,
        sha256=whole.sha256,
        runtime=whole.runtime,
        threads=backend.threads,
        network=network,
        operators=tuple(OperatorTime(o.index, o.kind, o.layer, part_of(o.layer), times[o.signature]) for o in graph.operators),
        whole_ms=whole.p50_ms,
        environment=whole.after,
    )


def _summed(items: Any) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for name, value in items:
        sums[name] += value
    return dict(sums)
