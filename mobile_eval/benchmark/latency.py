"""Measure how long a `.tflite` takes: one model (`bench`), or several that take turns (`bench_interleaved`).

Loading, the first run and the warm-up are reported apart from the steady state, of which every sample is kept. As in MLPerf's
single-stream scenario, a measurement has a minimum number of runs and a minimum duration. Times are those of the network alone,
on random input. Any `.tflite` can be measured; for one with a description `bench` also times the steps before and after the
network.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mobile_eval.benchmark.environment import Environment, current_environment, state_line
from mobile_eval.benchmark.pipeline_timing import PipelineTiming, time_pipeline
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes, sha256
from mobile_eval.model.archive import files_of, is_described
from mobile_eval.progress import tracked
from mobile_eval.runtime.backend import CPU, Backend, Placement, placement
from mobile_eval.runtime.interpreter import Interpreter, feed_random, find_runtime, load_delegate, open_interpreter
from mobile_eval.runtime.isolated import check_runs, run_isolated
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.typed import JsonObject

WARMUP_RUNS = 5
MEMORY_RUNS = 3
ROUNDS = 50
INTERLEAVED = "interleaved"
SUMMARY = ("p50_ms", "p90_ms", "p99_ms", "mean_ms", "std_ms", "min_ms", "max_ms", "drift")


@dataclass(frozen=True)
class Effort:
    """The minimum number of timed runs, and the minimum duration of them all in seconds."""

    runs: int
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.runs < 1 or self.seconds < 0:
            raise HRNetError(f"expected at least 1 run and 0 seconds, got {self.runs} and {self.seconds}")

    @property
    def mode(self) -> str:
        """The name among MODES, or "custom"."""
        return next((name for name, effort in MODES.items() if effort == self), "custom")


MODES = {"full": Effort(1024, 60), "quick": Effort(128, 10), "rapid": Effort(64, 6)}
QUICK = MODES["quick"]


def choose_effort(mode: str, runs: int | None = None, seconds: float | None = None) -> Effort:
    """Choose an effort by its mode, or exactly: `runs` or `seconds` replace the mode.

    Raises:
        HRNetError: There is no such mode, or a number is out of range.

    Example:
        >>> choose_effort("quick")
        Effort(runs=128, seconds=10)
        >>> choose_effort("quick", runs=3)
        Effort(runs=3, seconds=0.0)
    """
    if mode not in MODES:
        raise HRNetError(f"no mode named {mode!r}; expected {', '.join(MODES)}")
    if runs is None and seconds is None:
        return MODES[mode]
    return Effort(1 if runs is None else runs, seconds or 0.0)


@dataclass(frozen=True)
class PeakMemory:
    """Peak resident memory (VmHWM) of a process that runs a model, and the peak before it loaded the model."""

    peak_bytes: int
    before_loading_bytes: int


@dataclass(frozen=True)
class LatencyResult:
    """The latency of one model.

    Attributes:
        model: File name.
        runtime: TFLite runtime and its version.
        threads: Number of CPU threads.
        placement: Which operators the delegate took.
        mode: One of MODES, "custom", or "interleaved".
        size_bytes: Size of the files.
        sha256: Checksum of the file.
        load_ms: Time to load the model.
        first_ms: Time of the first run.
        warmup_ms: Times of the other warm-up runs.
        samples_ms: Times of the steady state, in the order they were taken.
        before: State of the machine before the measurement.
        after: State of the machine after it.
        memory: Peak memory; None where it was not measured.
        pipeline: Times of the steps from an image to keypoints; None where the model predicts no keypoints, or took turns.
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
    pipeline: PipelineTiming | None = None

    @property
    def p50_ms(self) -> float:
        """Median."""
        return self.percentile_ms(50)

    @property
    def p90_ms(self) -> float:
        """90th percentile."""
        return self.percentile_ms(90)

    @property
    def p99_ms(self) -> float:
        """99th percentile."""
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
        """Minimum."""
        return min(self.samples_ms)

    @property
    def max_ms(self) -> float:
        """Maximum."""
        return max(self.samples_ms)

    @property
    def drift(self) -> float:
        """Median of the last third of the runs relative to that of the first third, minus 1.

        It is above 0 on a device that slows down, for example because it gets hot.
        """
        third = max(len(self.samples_ms) // 3, 1)
        return float(np.median(self.samples_ms[-third:]) / np.median(self.samples_ms[:third])) - 1

    def percentile_ms(self, percent: float) -> float:
        """The percentile `percent` (0 to 100) of the samples."""
        return float(np.percentile(self.samples_ms, percent))

    def to_json(self) -> JsonObject:
        """Convert to plain data, with the percentiles and every sample."""
        return {**{name: getattr(self, name) for name in SUMMARY}, **dataclasses.asdict(self)}

    def __str__(self) -> str:
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
        if self.pipeline:
            lines.append(f"  {self.pipeline}")
        if self.memory:
            peak, before = (size / 2**20 for size in (self.memory.peak_bytes, self.memory.before_loading_bytes))
            lines.append(f"  peak memory {peak:.1f} MiB (before the model was loaded: {before:.1f} MiB)")
        state = state_line(self.before, self.after)
        return "\n".join([*lines, f"  {state}"] if state else lines)


def bench(
    path: Path | str, backend: Backend = CPU, *, effort: Effort = QUICK, memory: bool = True, progress: bool = False
) -> LatencyResult:
    """Measure one model after a warm-up.

    Args:
        path: The model; for a detector its first file. Both files are timed together, without the steps between them.
        backend: Runtime, threads and delegate.
        effort: Minimum number and duration of runs.
        memory: Whether to measure peak memory too, in another process, since this would disturb the latency.
        progress: Whether to show a progress bar.

    Raises:
        HRNetError: The runtime cannot run the model.
    """
    load_delegate(backend)  # fails here, with its reason, and not in another process
    described = is_described(path)
    peak = measure_peak_memory(path, backend) if memory else None
    check_runs(files_of(path), backend)
    before = current_environment()
    loaded = _load(path, backend)
    begun = time.perf_counter()
    samples = [_timed_ms(loaded.interpreters) for _ in tracked(range(effort.runs), Path(path).name, show=progress)]
    while time.perf_counter() - begun < effort.seconds:
        samples.append(_timed_ms(loaded.interpreters))
    result = _result(loaded, samples, backend, effort.mode, before)
    pipeline = time_pipeline(TFLiteModel(path, backend)) if described else None
    return dataclasses.replace(result, memory=peak, pipeline=pipeline)


def bench_interleaved(
    paths: Sequence[Path | str],
    backend: Backend = CPU,
    *,
    rounds: int = ROUNDS,
    progress: bool = False,
    on_round: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[LatencyResult]:
    """Measure several models that take turns, so that other load on the machine affects all of them alike.

    Each round times every model once, and starts with another model than the round before. A model is run twice in its turn and
    the second run is timed: the first one refills the caches that the other models have used.

    Args:
        paths: The models.
        backend: Runtime, threads and delegate.
        rounds: Number of rounds.
        progress: Whether to show a progress bar.
        on_round: Called after each round with the number of rounds done.
        clock: Returns seconds. `time.thread_time` counts the processor time of one thread, which other load changes less.

    Returns:
        The results, in the order of `paths`.

    Raises:
        HRNetError: The runtime cannot run a model.
    """
    if rounds < 1 or not paths:
        raise HRNetError(f"expected at least 1 round and 1 model, got {rounds} and {len(paths)}")
    check_runs([file for path in paths for file in files_of(path)], backend)
    before = current_environment()
    models = [_load(path, backend) for path in paths]
    samples: list[list[float]] = [[] for _ in models]
    for number in tracked(range(rounds), "latency", show=progress):
        for turn in range(len(models)):
            index = (number + turn) % len(models)
            _timed_ms(models[index].interpreters)
            samples[index].append(_timed_ms(models[index].interpreters, clock))
        if on_round:
            on_round(number + 1)
    return [_result(model, times, backend, INTERLEAVED, before) for model, times in zip(models, samples, strict=True)]


def measure_peak_memory(path: Path | str, backend: Backend) -> PeakMemory | None:
    """Run a model in another process and return that process's peak memory; None where the system has no /proc.

    Raises:
        HRNetError: The runtime cannot run the model.
    """
    [report] = run_isolated([path], backend, MEMORY_RUNS)
    if report.peak_bytes is None or report.before_loading_bytes is None:
        return None
    return PeakMemory(report.peak_bytes, report.before_loading_bytes)


@dataclass(frozen=True)
class _LoadedModel:
    """A model after its warm-up; of a detector both files. `warmup_ms` begins with the first run."""

    path: Path
    interpreters: list[Interpreter]
    load_ms: float
    warmup_ms: tuple[float, ...]


def _load(path: Path | str, backend: Backend) -> _LoadedModel:
    find_runtime(backend.runtime)  # imports it: this is not part of loading the model
    files = files_of(path)
    begun = time.perf_counter()
    interpreters = [open_interpreter(file, backend) for file in files]
    load_ms = (time.perf_counter() - begun) * 1000
    for interpreter in interpreters:
        feed_random(interpreter)
    return _LoadedModel(Path(path), interpreters, load_ms, tuple(_timed_ms(interpreters) for _ in range(WARMUP_RUNS + 1)))


def _timed_ms(interpreters: Sequence[Interpreter], clock: Callable[[], float] = time.perf_counter) -> float:
    begun = clock()
    for interpreter in interpreters:
        interpreter.invoke()
    return (clock() - begun) * 1000


def _result(model: _LoadedModel, samples: Sequence[float], backend: Backend, mode: str, before: Environment) -> LatencyResult:
    return LatencyResult(
        model=model.path.name,
        runtime=str(find_runtime(backend.runtime)),
        threads=backend.threads,
        placement=placement(model.interpreters[0], backend),
        mode=mode,
        size_bytes=sum(file.stat().st_size for file in files_of(model.path)),
        sha256=sha256(read_bytes(model.path, "model")),
        load_ms=model.load_ms,
        first_ms=model.warmup_ms[0],
        warmup_ms=model.warmup_ms[1:],
        samples_ms=tuple(samples),
        before=before,
        after=current_environment(),
    )
