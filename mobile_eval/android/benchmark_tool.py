"""TFLite's `benchmark_model`: its command line, and what it prints.

https://github.com/google-ai-edge/LiteRT/tree/main/tflite/tools/benchmark; older ones print neither percentiles nor how many
nodes a delegate took. LiteRT's own tool of that name (litert/tools) is read too. What was not printed is None here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mobile_eval.benchmark.latency import Effort
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.backend import XNNPACK

NO_END_S = 86400  # benchmark_model stops after --max_secs, 150 unless told; how much to measure is ours to say
GPU, NNAPI = "GPU", "NNAPI"
KERNELS = {
    "TfLiteGpuDelegateV2": GPU, "LITERT_CL": GPU, "ML_DRIFT_CL": GPU,
    "TfLiteNnapiDelegate": NNAPI, "TfLiteXNNPackDelegate": XNNPACK,
}  # fmt: skip
ALL, PART, NOTHING = "completely", "partially", "not"
MEGABYTE = 2**20
SHOWN_ERRORS = 2

RUN = re.compile(r"Running benchmark for at least .*\n(?:.*\n)*?.*?count=(\d+) (?:first=(\S+) )?curr=(\S+)(.*)")
VALUE = re.compile(r"\b(min|max|avg|std|p5|median|p95)=([-+.\deE]+)")
SESSION = re.compile(r"Initialized session in ([\d.eE+]+)ms")
ENDED = re.compile(r"Inference timings in us:|=+ BENCHMARK RESULTS =+")
INIT = re.compile(r"(?:footprint.*: init=|Init footprint: +)([\d.]+)")
OVERALL = re.compile(r"(?:footprint.* overall=|Overall footprint: +)([\d.]+)")
PEAK = re.compile(r"(?:Overall peak memory footprint \(MB\) via periodic monitoring|Peak memory): +([\d.]+)")
APPLIED = re.compile(
    r"(?:Explicitly applied|Though) (\w+) delegate(?: is explicitly applied)?,(?: and)? the model graph will (?:be )?"
    r"(completely|partially|not)(?: be)? executed by the delegate(?: w/ (\d+) delegate kernels)?"
)
REPLACED = re.compile(r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((\w+)\) node, yielding (\d+) partitions")
UNKNOWN = re.compile(r"Unconsumed cmdline flags: .*|\w+ acceleration is unsupported on this platform")
ERROR = re.compile(r"^(?:ERROR|FATAL): (.+)$", re.MULTILINE)
FAILED = ("Benchmarking failed", "Failed to allocate tensors")  # true, and no reason
RUN_TABLE = "Operator-wise Profiling Info for Regular Benchmark Runs:"
INSIDE = "Delegate internal:"


@dataclass(frozen=True)
class Spread:
    """Times of several runs in milliseconds, as far as they were printed."""

    runs: int
    mean_ms: float
    std_ms: float | None
    min_ms: float
    max_ms: float
    p5_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True)
class PhonePlacement:
    """What ran where, as benchmark_model said: the keys of `hrnet bench`, None for what it did not tell, and its words.

    `extent` is how much of the graph the delegate took: completely, partially, not; None where nothing was said of it.
    """

    by: str
    operators: int | None = None
    delegated: int | None = None
    parts: int | None = None
    extent: str | None = None
    left: dict[str, int] | None = None
    said: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.by == f"{XNNPACK}, which is off":
            return "every operator ran on TFLite's own kernels (XNNPACK is off)"
        if self.extent is None and self.operators is None:
            return f"benchmark_model says nothing of {self.by}: if it was built without it, all ran on the CPU"
        if self.extent == NOTHING or self.delegated == 0:
            return f"{self.by} took nothing of the model: all of it ran on the CPU"
        if self.operators is not None:
            rest = "" if self.delegated == self.operators else "; the rest on the CPU"
            return f"{self.delegated} of {self.operators} operators ran on {self.by}{self._in_parts}{rest}"
        if self.extent == ALL:
            return f"the whole model ran on {self.by}"
        return f"the model ran partly on {self.by}{self._in_parts}; the rest on the CPU"

    @property
    def _in_parts(self) -> str:
        return f", in {self.parts} part{'s' if self.parts != 1 else ''}" if self.parts else ""


@dataclass(frozen=True)
class OperatorTime:
    """One line of the profile, mean time of a run: an operator, or what a delegate made of several.

    `inside` are what the delegate itself tells of these; their times are part of its own.
    """

    kind: str
    name: str
    ms: float
    calls: int
    inside: bool = False


@dataclass(frozen=True)
class Measured:
    """One run of benchmark_model. Sizes are what it added to the process, `peak_bytes` is the process's own peak."""

    load_ms: float
    first_ms: float
    warmup: Spread
    steady: Spread
    placement: PhonePlacement
    init_bytes: int | None
    overall_bytes: int | None
    peak_bytes: int | None


@dataclass(frozen=True)
class Target:
    """Where and how the model runs: `delegate` is GPU, NNAPI or None (the CPU), `mask` a taskset mask of cores in hexadecimal."""

    threads: int = 1
    xnnpack: bool = True
    delegate: str | None = None
    mask: str | None = None

    def __post_init__(self) -> None:
        if self.mask is not None and not (re.fullmatch(r"(0x)?[0-9a-fA-F]+", self.mask) and int(self.mask, 16)):
            raise HRNetError(f"`cores` takes a mask in hexadecimal digits, such as f0 for cores 4 to 7, got {self.mask!r}")

    @property
    def cores(self) -> tuple[int, ...]:
        """The numbers of the cores that the mask names; none without one."""
        bits = int(self.mask, 16) if self.mask else 0
        return tuple(core for core in range(bits.bit_length()) if bits >> core & 1)

    @property
    def by(self) -> str:
        """What is asked to take the operators; with a delegate XNNPACK is off, as in `hrnet bench`."""
        return self.delegate or (XNNPACK if self.xnnpack else f"{XNNPACK}, which is off")

    def flags(self) -> list[str]:
        """Of benchmark_model."""
        delegates = {GPU: ["--use_gpu=true"], NNAPI: ["--use_nnapi=true"]}.get(self.delegate or "", [])
        xnnpack = self.xnnpack and self.delegate is None
        return [f"--num_threads={self.threads}", *delegates, f"--use_xnnpack={'true' if xnnpack else 'false'}"]


def command(folder: str, target: Target, effort: Effort, warmup: int, extra: list[str]) -> str:
    """The line that runs `folder`/benchmark_model on `folder`/model.tflite; needs no quoting."""
    pinned = [f"taskset {target.mask.removeprefix('0x')}"] if target.mask else []
    much = [f"--num_runs={effort.runs}", f"--min_secs={effort.seconds:g}", f"--max_secs={NO_END_S}"]
    much += [f"--warmup_runs={warmup}", "--warmup_min_secs=0"]
    program = [f"{folder}/benchmark_model", f"--graph={folder}/model.tflite"]
    return " ".join([*pinned, *program, *target.flags(), *much, *extra])


def parse_output(text: str, target: Target) -> Measured:
    """What benchmark_model printed; HRNetError where it is not all there."""
    session, ended, runs = SESSION.search(text), ENDED.search(text), list(RUN.finditer(text))
    if session is None or ended is None or len(runs) < len(("warm-up", "steady")):
        raise HRNetError(f"benchmark_model printed no timings: {failure(text)}")
    warmup, steady = runs[-2:]
    return Measured(
        load_ms=float(session[1]),
        first_ms=float(warmup[2] or warmup[3]) / 1000,
        warmup=_spread(warmup),
        steady=_spread(steady),
        placement=parse_placement(text, target),
        init_bytes=_bytes(INIT, text),
        overall_bytes=_bytes(OVERALL, text),
        peak_bytes=_bytes(PEAK, text),
    )


def parse_placement(text: str, target: Target) -> PhonePlacement:
    """What was said of the delegate that `target` asks for; of XNNPACK too where it was to be off and was not."""
    by = target.by if target.delegate else XNNPACK
    applied = next((match for match in APPLIED.finditer(text) if match[1] == by), None)
    replaced = next((match for match in REPLACED.finditer(text) if KERNELS.get(match[3], match[3]) == by), None)
    if not (applied or replaced):
        return PhonePlacement(target.by, said=tuple(match[0] for match in UNKNOWN.finditer(text)))
    said = tuple(match[0] for match in (replaced, applied) if match)
    extent = applied[2] if applied else None
    if extent == NOTHING:
        return PhonePlacement(by, delegated=0, parts=0, extent=extent, said=said)
    delegated, operators = (int(replaced[1]), int(replaced[2])) if replaced else (None, None)
    everything = extent == ALL or (replaced is not None and delegated == operators)
    kernels = int(applied[3]) if applied and applied[3] else None  # the partitions of `replaced` count what is left too
    parts = 0 if delegated == 0 else 1 if everything and extent != PART else kernels
    return PhonePlacement(by, operators, delegated, parts, extent, {} if everything else None, said)


def parse_profile(text: str) -> tuple[OperatorTime, ...]:
    """The operators in the order they ran, then those inside of delegates: from the CSV, or from the tables that are printed."""
    graph, _, delegates = text[max(text.find(RUN_TABLE), 0) :].partition(INSIDE)
    operators = (*_table(graph, inside=False), *_table(delegates, inside=True))
    if not operators:
        raise HRNetError("benchmark_model wrote no profile of its operators")
    return operators


def _table(text: str, *, inside: bool) -> Iterator[OperatorTime]:
    """The first table of `text`. Kinds may hold commas, names hold none in CSV: benchmark_model writes tabs for them."""
    lines = iter(text.splitlines())
    header = next((line for line in lines if line.lstrip().startswith(("node type, ", "[node type]"))), "")
    separator = "\t" if header.lstrip().startswith("[") else ", "
    columns = [column.strip(" []\t").lower() for column in header.strip().split(separator)]
    for line in lines:
        cells = line.strip().rsplit(separator, len(columns) - 1)
        if len(cells) < len(columns):
            return
        row = dict(zip(columns, cells, strict=True))
        average = float(row.get("avg_ms") or row["avg ms"])
        yield OperatorTime(row["node type"].strip(), row["name"].replace("\t", ","), average, int(row["times called"]), inside)


def failure(text: str) -> str:
    """Why a run failed, in its own words: its first errors, or the last line."""
    errors = [message.strip(" .") for message in ERROR.findall(text)]
    reasons = [message for message in errors if not message.startswith(FAILED)] or errors
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(reasons[:SHOWN_ERRORS]) if reasons else (lines[-1] if lines else "it printed nothing")


def _spread(match: re.Match[str]) -> Spread:
    """One line of statistics, microseconds; of a single run, or of several that took the same, the time stands alone."""
    values = {name: float(value) / 1000 for name, value in VALUE.findall(match[4])}
    current = float(match[3].removesuffix("(all")) / 1000
    least, most, mean = (values.get(name, current) for name in ("min", "max", "avg"))
    percentiles = (values.get("p5"), values.get("median"), values.get("p95"))
    return Spread(int(match[1]), mean, values.get("std", 0.0), least, most, *percentiles)


def _bytes(size: re.Pattern[str], text: str) -> int | None:
    """A size that was printed in MB, which are 2**20 bytes there."""
    found = size.search(text)
    return round(float(found[1]) * MEGABYTE) if found else None
