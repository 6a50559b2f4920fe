"""How long a `.tflite` takes: one model (`bench`), or several turn by turn (`bench_interleaved`).

Loading, the first run and the warm-up are reported apart from the steady state, of which every sample is kept. How
much is measured follows MLPerf's single-stream habit: so many runs and so many seconds at least. Times are those of
the network alone, on random input; any `.tflite` can be measured, with or without a description. For one that describes
itself `bench` adds what comes before and after the network.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobile_eval.benchmark.environment import Environment, current_environment, state_line
from mobile_eval.benchmark.peak_memory import PeakMemory, measure_peak_memory
from mobile_eval.benchmark.pipeline_timing import PipelineTiming, time_pipeline
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes, sha256
from mobile_eval.model.archive import files_of, is_described
from mobile_eval.progress import tracked
from mobile_eval.runtime.backend import CPU, Backend, Placement, placement
from mobile_eval.runtime.interpreter import feed_random, find_runtime, load_delegate, open_interpreter
from mobile_eval.runtime.isolated import check_runs
from mobile_eval.runtime.tflite_model import TFLiteModel

WARMUP_RUNS = 5
ROUNDS = 50
INTERLEAVED = "interleaved"
SUMMARY = ("p50_ms", "p90_ms", "p99_ms", "mean_ms", "std_ms", "min_ms", "max_ms", "drift")


@dataclass(frozen=True)
class Effort:
    """At least so many timed runs, and at least so many seconds of them."""

    runs: int
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.runs < 1 or self.seconds < 0:
            raise HRNetError(f"expected at least 1 run and 0 seconds, got {self.runs} and {self.seconds}")

    @property
    def mode(self) -> str:
        """Its name among MODES, or "custom"."""
        return next((name for name, effort in MODES.items() if effort == self), "custom")


MODES = {"full": Effort(1024, 60), "quick": Effort(128, 10), "rapid": Effort(64, 6)}
QUICK = MODES["quick"]


def effort(mode: str, runs: int | None = None, seconds: float | None = None) -> Effort:
    """That of a mode, or where `runs` or `seconds` are given, no more than these."""
    if mode not in MODES:
        raise HRNetError(f"no mode named {mode!r}; there are {', '.join(MODES)}")
    if runs is None and seconds is None:
        return MODES[mode]
    return Effort(1 if runs is None else runs, seconds or 0.0)


@dataclass(frozen=True)
class LatencyResult:
    """Times of one model in milliseconds. `samples_ms` are the steady state's, in the order they were taken.

    `mode` is how much was measured: one of MODES, "custom", or "interleaved" with others. `stages` are those of the way
    from a photograph to keypoints, of one model alone that describes itself.
    """

    model: str
    runtime: str
    threads: int
    placement: Placement
    mode: str
    size_bytes: int
    sha256: str
    load_ms: float
    first_ms: float
    warmup_ms: tuple[float, ...]
    samples_ms: tuple[float, ...]
    before: Environment
    after: Environment
    memory: PeakMemory | None = None
    stages: PipelineTiming | None = None

    @property
    def p50_ms(self) -> float:
        """Median."""
        return self.percentile_ms(50)

    @property
    def p90_ms(self) -> float:
        """What nine runs of ten keep."""
        return self.percentile_ms(90)

    @property
    def p99_ms(self) -> float:
        """What 99 runs of 100 keep."""
        return self.percentile_ms(99)

    @property
    def mean_ms(self) -> float:
        """Mean."""
        return float(np.mean(self.samples_ms))

    @property
    def std_ms(self) -> float:
        """Standard deviation."""
        return float(np.std(self.samples_ms))

    @property
    def min_ms(self) -> float:
        """The fastest run."""
        return min(self.samples_ms)

    @property
    def max_ms(self) -> float:
        """The slowest run."""
        return max(self.samples_ms)

    @property
    def drift(self) -> float:
        """Median of the last third of the runs over that of the first, minus 1: above 0 where the device slows down."""
        third = max(len(self.samples_ms) // 3, 1)
        return float(np.median(self.samples_ms[-third:]) / np.median(self.samples_ms[:third])) - 1

    def percentile_ms(self, percent: float) -> float:
        """The time that `percent` of the runs keep."""
        return float(np.percentile(self.samples_ms, percent))

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the percentiles and every sample."""
        return {**{name: getattr(self, name) for name in SUMMARY}, **dataclasses.asdict(self)}

    def __str__(self) -> str:
        memory = f"{self.memory.peak_bytes / 2**20:.1f} MiB" if self.memory else ""
        if self.memory:
            memory += f" (of it {self.memory.before_loading_bytes / 2**20:.1f} MiB before the model was loaded)"
        seconds = sum(self.samples_ms) / 1000
        lines = [
            f"{self.model}: {self.runtime}, {self.threads} thread{'s' if self.threads > 1 else ''}, {self.after.processor}",
            f"  p50 {self.p50_ms:.2f} ms   p90 {self.p90_ms:.2f}   p99 {self.p99_ms:.2f}   "
            f"({self.mode}: {len(self.samples_ms)} runs in {seconds:.1f} s)",
            f"  mean {self.mean_ms:.2f}   std {self.std_ms:.2f}   min {self.min_ms:.2f}   max {self.max_ms:.2f}   "
            f"drift {self.drift:+.1%}",
            f"  load {self.load_ms:.1f} ms   first {self.first_ms:.2f} ms   size {self.size_bytes / 1e6:.3f} MB",
            f"  {self.placement}",
        ]
        if self.stages:
            lines.append(f"  {self.stages}")
        if memory:
            lines.append(f"  peak memory {memory}")
        state = state_line(self.before, self.after)
        return "\n".join([*lines, f"  {state}"] if state else lines)


@dataclass(frozen=True)
class _Started:
    """A model that is loaded and warm, and what that took; of a detector both of its files."""

    path: Path
    interpreters: list[Any]
    load_ms: float
    warmup_ms: tuple[float, ...]  # the first run among them


def bench(
    path: Path | str, backend: Backend = CPU, *, effort: Effort = QUICK, memory: bool = True, progress: bool = False
) -> LatencyResult:
    """Time one model after warming up, alone; peak memory in a process of its own."""
    load_delegate(backend)  # fails here, with its reason, and not in another process
    described = is_described(path)
    used = measure_peak_memory(path, backend) if memory else None
    check_runs(files_of(path), backend)
    before = current_environment()
    started = _start(path, backend)
    begun = time.perf_counter()
    samples = [_timed_ms(started.interpreters) for _ in tracked(range(effort.runs), Path(path).name, show=progress)]
    while time.perf_counter() - begun < effort.seconds:
        samples.append(_timed_ms(started.interpreters))
    result = _result(started, samples, backend, effort.mode, before)
    stages = time_pipeline(TFLiteModel(path, backend)) if described else None
    return dataclasses.replace(result, memory=used, stages=stages)


def bench_interleaved(
    paths: Sequence[Path | str],
    backend: Backend = CPU,
    *,
    rounds: int = ROUNDS,
    progress: bool = False,
    on_round: Callable[[int], None] | None = None,
) -> list[LatencyResult]:
    """Time several models turn by turn, so that what else the machine does falls on all alike; results in order of `paths`.

    Each round takes every model once, beginning with another each time. A turn runs the model twice and times the
    second run: the first one brings back the caches that the others have taken. `on_round` hears how many are done.
    """
    if rounds < 1 or not paths:
        raise HRNetError(f"expected at least 1 round and 1 model, got {rounds} and {len(paths)}")
    check_runs([file for path in paths for file in files_of(path)], backend)
    before = current_environment()
    started = [_start(path, backend) for path in paths]
    samples: list[list[float]] = [[] for _ in started]
    for number in tracked(range(rounds), "latency", show=progress):
        for turn in range(len(started)):
            index = (number + turn) % len(started)
            _timed_ms(started[index].interpreters)
            samples[index].append(_timed_ms(started[index].interpreters))
        if on_round:
            on_round(number + 1)
    return [_result(one, times, backend, INTERLEAVED, before) for one, times in zip(started, samples, strict=True)]


def _start(path: Path | str, backend: Backend) -> _Started:
    find_runtime(backend.runtime)  # importing it is no part of loading the model
    files = files_of(path)
    begun = time.perf_counter()
    interpreters = [open_interpreter(file, backend) for file in files]
    load_ms = (time.perf_counter() - begun) * 1000
    for interpreter in interpreters:
        feed_random(interpreter)
    return _Started(Path(path), interpreters, load_ms, tuple(_timed_ms(interpreters) for _ in range(WARMUP_RUNS + 1)))


def _timed_ms(interpreters: Sequence[Any]) -> float:
    """How long they take one after the other; what a detector does between its files is not part of it."""
    begun = time.perf_counter()
    for interpreter in interpreters:
        interpreter.invoke()
    return (time.perf_counter() - begun) * 1000


def _result(started: _Started, samples: Sequence[float], backend: Backend, mode: str, before: Environment) -> LatencyResult:
    data = read_bytes(started.path, "model")
    return LatencyResult(
        model=started.path.name,
        runtime=str(find_runtime(backend.runtime)),
        threads=backend.threads,
        placement=placement(started.interpreters[0], backend),
        mode=mode,
        size_bytes=sum(file.stat().st_size for file in files_of(started.path)),
        sha256=sha256(data),
        load_ms=started.load_ms,
        first_ms=started.warmup_ms[0],
        warmup_ms=started.warmup_ms[1:],
        samples_ms=tuple(samples),
        before=before,
        after=current_environment(),
    )
