"""TFLite's `benchmark_model`: its command line, and how to parse its output.

The tool: https://github.com/google-ai-edge/LiteRT/tree/main/tflite/tools/benchmark. Older versions print neither percentiles nor
the number of nodes that a delegate took; values that were not printed are None. The output of LiteRT's tool of the same name
(litert/tools) is parsed too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mobile_eval.benchmark.latency import Effort
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.backend import XNNPACK, XNNPACK_OFF

MAX_SECONDS = 86400  # benchmark_model would stop after 150 s; the effort decides how long a measurement takes
GPU, NNAPI = "GPU", "NNAPI"
KERNELS = {
    "TfLiteGpuDelegateV2": GPU, "LITERT_CL": GPU, "ML_DRIFT_CL": GPU,
    "TfLiteNnapiDelegate": NNAPI, "TfLiteXNNPackDelegate": XNNPACK,
}  # fmt: skip
FULLY, PARTLY, NOT = "completely", "partially", "not"  # how much of a graph a delegate took
MEGABYTE = 2**20
SHOWN_ERRORS = 2
PHASES = 2  # warm-up and measurement

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
SYMPTOMS = ("Benchmarking failed", "Failed to allocate tensors")  # errors that give no reason
RUN_TABLE = "Operator-wise Profiling Info for Regular Benchmark Runs:"
INSIDE = "Delegate internal:"


@dataclass(frozen=True)
class RunStatistics:
    """Statistics of the times of several runs."""

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
    """Which operators a delegate took, as far as benchmark_model printed it.

    The first fields are those of `runtime.backend.Placement`.

    Attributes:
        delegate: GPU, NNAPI or XNNPACK.
        operators: Number of operators of the model.
        delegated: Number of operators that the delegate took.
        partitions: Number of pieces that the delegate runs them in.
        remaining: Number of the other operators by kind; known only where there are none.
        extent: How much of the graph the delegate took: FULLY, PARTLY or NOT.
        messages: The lines that say so.
    """

    delegate: str
    operators: int | None = None
    delegated: int | None = None
    partitions: int | None = None
    remaining: dict[str, int] | None = None
    extent: str | None = None
    messages: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.delegate == XNNPACK_OFF:
            return "all operators ran on TFLite's own kernels (XNNPACK is off)"
        if self.extent is None and self.operators is None:
            return f"benchmark_model does not report {self.delegate}: if it was built without it, all ran on the CPU"
        if self.extent == NOT or self.delegated == 0:
            return f"{self.delegate} took no operators: the model ran on the CPU"
        if self.operators is not None:
            rest = "" if self.delegated == self.operators else "; the rest on the CPU"
            return f"{self.delegated} of {self.operators} operators ran on {self.delegate}{self._in_partitions}{rest}"
        if self.extent == FULLY:
            return f"the full model ran on {self.delegate}"
        return f"the model ran partly on {self.delegate}{self._in_partitions}; the rest on the CPU"

    @property
    def _in_partitions(self) -> str:
        return f", in {self.partitions} partition{'s' if self.partitions != 1 else ''}" if self.partitions else ""


@dataclass(frozen=True)
class PhoneOperatorTime:
    """A line of the profile: the mean time in a run of an operator, or of a delegate's node for several.

    `inside` marks the operators in such a node; the node's time includes theirs.
    """

    kind: str
    name: str
    ms: float
    calls: int
    inside: bool = False


@dataclass(frozen=True)
class BenchmarkOutput:
    """The output of one run of benchmark_model.

    Attributes:
        load_ms: Time to load the model.
        first_ms: Time of the first run.
        warmup: The warm-up runs.
        steady: The measured runs.
        placement: Which operators the delegate took.
        init_bytes: Memory that loading the model added to the process.
        overall_bytes: Memory that loading and running it added.
        peak_bytes: Peak memory of the process.
    """

    load_ms: float
    first_ms: float
    warmup: RunStatistics
    steady: RunStatistics
    placement: PhonePlacement
    init_bytes: int | None
    overall_bytes: int | None
    peak_bytes: int | None


@dataclass(frozen=True)
class PhoneBackend:
    """How benchmark_model runs a model.

    Attributes:
        threads: Number of CPU threads.
        xnnpack: Whether XNNPACK may take operators.
        delegate: GPU, NNAPI, or None for the CPU; with a delegate XNNPACK is off, as in `hrnet benchmark`.
        mask: Mask of the cores to run on, as taskset takes it: hexadecimal digits.
    """

    threads: int = 1
    xnnpack: bool = True
    delegate: str | None = None
    mask: str | None = None

    def __post_init__(self) -> None:
        if self.mask is not None and not (re.fullmatch(r"(0x)?[0-9a-fA-F]+", self.mask) and int(self.mask, 16)):
            raise HRNetError(f"`cores` takes a mask in hexadecimal digits, such as f0 for cores 4 to 7, got {self.mask!r}")

    @property
    def cores(self) -> tuple[int, ...]:
        """The numbers of the cores in the mask; empty without a mask."""
        bits = int(self.mask, 16) if self.mask else 0
        return tuple(core for core in range(bits.bit_length()) if bits >> core & 1)

    @property
    def delegate_name(self) -> str:
        """The delegate that is requested to take operators."""
        return self.delegate or (XNNPACK if self.xnnpack else XNNPACK_OFF)

    def flags(self) -> list[str]:
        """The flags of benchmark_model."""
        delegates = {GPU: ["--use_gpu=true"], NNAPI: ["--use_nnapi=true"]}.get(self.delegate or "", [])
        xnnpack = self.xnnpack and self.delegate is None
        return [f"--num_threads={self.threads}", *delegates, f"--use_xnnpack={'true' if xnnpack else 'false'}"]


def command(folder: str, backend: PhoneBackend, effort: Effort, warmup: int, extra: list[str]) -> str:
    """The shell command that runs `folder`/benchmark_model on `folder`/model.tflite.

    Args:
        folder: A folder on the phone, whose name needs no quoting.
        backend: Threads, delegate and cores.
        effort: Minimum number and duration of runs.
        warmup: Number of warm-up runs.
        extra: Other flags.
    """
    taskset = [f"taskset {backend.mask.removeprefix('0x')}"] if backend.mask else []
    runs = [f"--num_runs={effort.runs}", f"--min_secs={effort.seconds:g}", f"--max_secs={MAX_SECONDS}"]
    runs += [f"--warmup_runs={warmup}", "--warmup_min_secs=0"]
    program = [f"{folder}/benchmark_model", f"--graph={folder}/model.tflite"]
    return " ".join([*taskset, *program, *backend.flags(), *runs, *extra])


def parse_output(text: str, backend: PhoneBackend) -> BenchmarkOutput:
    """Parse the output of benchmark_model.

    Args:
        text: Both outputs of the program.
        backend: The backend that it was run with.

    Raises:
        HRNetError: The output has no timings, or is incomplete.
    """
    session, ended, runs = SESSION.search(text), ENDED.search(text), list(RUN.finditer(text))
    if session is None or ended is None or len(runs) < PHASES:
        raise HRNetError(f"benchmark_model printed no timings: {failure(text)}")
    warmup, steady = runs[-2:]
    return BenchmarkOutput(
        load_ms=float(session[1]),
        first_ms=float(warmup[2] or warmup[3]) / 1000,
        warmup=_statistics(warmup),
        steady=_statistics(steady),
        placement=parse_placement(text, backend),
        init_bytes=_bytes(INIT, text),
        overall_bytes=_bytes(OVERALL, text),
        peak_bytes=_bytes(PEAK, text),
    )


def parse_placement(text: str, backend: PhoneBackend) -> PhonePlacement:
    """Parse which operators the delegate of `backend` took; without one, XNNPACK, even where it should have been off."""
    delegate = backend.delegate or XNNPACK
    applied = next((match for match in APPLIED.finditer(text) if match[1] == delegate), None)
    replaced = next((match for match in REPLACED.finditer(text) if KERNELS.get(match[3], match[3]) == delegate), None)
    if not (applied or replaced):
        return PhonePlacement(backend.delegate_name, messages=tuple(match[0] for match in UNKNOWN.finditer(text)))
    messages = tuple(match[0] for match in (replaced, applied) if match)
    extent = applied[2] if applied else None
    if extent == NOT:
        return PhonePlacement(delegate, delegated=0, partitions=0, extent=extent, messages=messages)
    delegated, operators = (int(replaced[1]), int(replaced[2])) if replaced else (None, None)
    full_graph = extent == FULLY or (replaced is not None and delegated == operators)
    kernels = int(applied[3]) if applied and applied[3] else None  # `replaced` counts the remaining partitions too
    partitions = 0 if delegated == 0 else 1 if full_graph and extent != PARTLY else kernels
    return PhonePlacement(delegate, operators, delegated, partitions, {} if full_graph else None, extent, messages)


def parse_profile(text: str) -> tuple[PhoneOperatorTime, ...]:
    """Parse a profile, as CSV or as printed tables: the operators in the order they ran, then those inside of delegates.

    Raises:
        HRNetError: There are no operators.
    """
    graph, _, delegates = text[max(text.find(RUN_TABLE), 0) :].partition(INSIDE)
    operators = (*_table(graph, inside=False), *_table(delegates, inside=True))
    if not operators:
        raise HRNetError("benchmark_model wrote no profile of its operators")
    return operators


def _table(text: str, *, inside: bool) -> Iterator[PhoneOperatorTime]:
    """The first table of `text`. In CSV kinds may contain commas; names do not, because benchmark_model replaces them by tabs."""
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
        yield PhoneOperatorTime(
            row["node type"].strip(), row["name"].replace("\t", ","), average, int(row["times called"]), inside
        )


def failure(text: str) -> str:
    """Why a run failed: its first errors, or the last line of its output."""
    errors = [message.strip(" .") for message in ERROR.findall(text)]
    reasons = [message for message in errors if not message.startswith(SYMPTOMS)] or errors
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(reasons[:SHOWN_ERRORS]) if reasons else (lines[-1] if lines else "it printed nothing")


def _statistics(match: re.Match[str]) -> RunStatistics:
    """Parse a line of statistics in microseconds. A single time stands for one run, or for several that took the same time."""
    values = {name: float(value) / 1000 for name, value in VALUE.findall(match[4])}
    current = float(match[3].removesuffix("(all")) / 1000
    low, high, mean = (values.get(name, current) for name in ("min", "max", "avg"))
    percentiles = (values.get("p5"), values.get("median"), values.get("p95"))
    return RunStatistics(int(match[1]), mean, values.get("std", 0.0), low, high, *percentiles)


def _bytes(size: re.Pattern[str], text: str) -> int | None:
    """Parse a size that is printed in MB of 2**20 bytes."""
    match = size.search(text)
    return round(float(match[1]) * MEGABYTE) if match else None
