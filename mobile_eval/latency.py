"""How long a `.tflite` takes: one model (`bench`), or several turn by turn (`bench_interleaved`).

Loading, the first run and the warm-up are reported apart from the steady state, of which every sample is kept.
Times are those of the network alone, on random input; any `.tflite` can be measured, with or without a description.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobile_eval.environment import Environment, current_environment
from mobile_eval.files import read_bytes, sha256
from mobile_eval.model_file import is_described
from mobile_eval.peak_memory import PeakMemory, measure_peak_memory
from mobile_eval.progress import tracked
from mobile_eval.runtime import find_runtime, make_interpreter

RUNS = 50
WARMUP_RUNS = 5
ROUNDS = 50
INPUT_SEED = 0


@dataclass(frozen=True)
class LatencyResult:
    """Times of one model in milliseconds. `samples_ms` are the steady state's, in the order they were taken."""

    model: str
    runtime: str
    threads: int
    size_bytes: int
    sha256: str
    load_ms: float
    first_ms: float
    warmup_ms: tuple[float, ...]
    samples_ms: tuple[float, ...]
    before: Environment
    after: Environment
    memory: PeakMemory | None = None

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
    def min_ms(self) -> float:
        """The fastest run."""
        return min(self.samples_ms)

    def percentile_ms(self, percent: float) -> float:
        """The time that `percent` of the runs keep."""
        return float(np.percentile(self.samples_ms, percent))

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the percentiles and every sample."""
        summary = {name: getattr(self, name) for name in ("p50_ms", "p90_ms", "p99_ms", "mean_ms", "min_ms")}
        return {**summary, **dataclasses.asdict(self)}

    def __str__(self) -> str:
        memory = f"{self.memory.peak_bytes / 2**20:.1f} MiB" if self.memory else "unavailable"
        if self.memory:
            memory += f" (of it {self.memory.before_loading_bytes / 2**20:.1f} MiB before the model was loaded)"
        return (
            f"{self.model}: {self.runtime}, {self.threads} thread{'s' if self.threads > 1 else ''}, {self.after.processor}\n"
            f"  p50 {self.p50_ms:.2f} ms   p90 {self.p90_ms:.2f}   p99 {self.p99_ms:.2f}   "
            f"mean {self.mean_ms:.2f}   min {self.min_ms:.2f}   ({len(self.samples_ms)} runs)\n"
            f"  load {self.load_ms:.1f} ms   first {self.first_ms:.2f} ms   size {self.size_bytes / 1e6:.3f} MB\n"
            f"  peak memory {memory}\n"
            f"  governor {self.after.governor}   temperature {self.before.temperature_celsius} before, "
            f"{self.after.temperature_celsius} after"
        )


@dataclass(frozen=True)
class _Started:
    """A model that is loaded and warm, and what that took."""

    path: Path
    interpreter: Any
    load_ms: float
    warmup_ms: tuple[float, ...]  # the first run among them


def bench(
    path: Path | str,
    *,
    threads: int = 1,
    runs: int = RUNS,
    seconds: float = 0.0,
    runtime: str = "auto",
    memory: bool = True,
    progress: bool = False,
) -> LatencyResult:
    """Time one model: at least `runs` runs and at least `seconds`, after warming up; peak memory in a process of its own."""
    if runs < 1 or seconds < 0:
        raise ValueError(f"expected at least 1 run and 0 seconds, got {runs} and {seconds}")
    # Runtimes may crash on a damaged file, so one that does not vouch for itself runs in a process of its own first.
    probe = not is_described(path) or memory
    used = measure_peak_memory(path, threads=threads, runtime=runtime) if probe else None
    before = current_environment()
    started = _start(path, threads, runtime)
    begun = time.perf_counter()
    samples = [_timed_ms(started.interpreter) for _ in tracked(range(runs), Path(path).name, show=progress)]
    while time.perf_counter() - begun < seconds:
        samples.append(_timed_ms(started.interpreter))
    return _result(started, samples, threads, runtime, before, used if memory else None)


def bench_interleaved(
    paths: Sequence[Path | str],
    *,
    rounds: int = ROUNDS,
    threads: int = 1,
    runtime: str = "auto",
    progress: bool = False,
    on_round: Callable[[int], None] | None = None,
) -> list[LatencyResult]:
    """Time several models turn by turn, so that what else the machine does falls on all alike; results in order of `paths`.

    Each round takes every model once, beginning with another each time. A turn runs the model twice and times the
    second run: the first one brings back the caches that the others have taken. `on_round` hears how many are done.
    """
    if rounds < 1 or not paths:
        raise ValueError(f"expected at least 1 round and 1 model, got {rounds} and {len(paths)}")
    before = current_environment()
    started = [_start(path, threads, runtime) for path in paths]
    samples: list[list[float]] = [[] for _ in started]
    for number in tracked(range(rounds), "latency", show=progress):
        for turn in range(len(started)):
            index = (number + turn) % len(started)
            started[index].interpreter.invoke()
            samples[index].append(_timed_ms(started[index].interpreter))
        if on_round:
            on_round(number + 1)
    return [_result(one, times, threads, runtime, before, None) for one, times in zip(started, samples, strict=True)]


def feed_random(interpreter: Any) -> None:
    """Give every input of `interpreter` random values of its type: 8 and 16 bits over their whole range, floats normal.

    Wider integers are no pictures but places and counts, of which 0 is allowed.
    """
    random = np.random.default_rng(INPUT_SEED)
    for details in interpreter.get_input_details():
        shape, dtype = tuple(details["shape"]), np.dtype(details["dtype"])
        if np.issubdtype(dtype, np.integer) and dtype.itemsize > 2:
            values = np.zeros(shape, dtype)
        elif np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            values = random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        else:
            values = random.standard_normal(shape).astype(dtype)
        interpreter.set_tensor(details["index"], values)


def _start(path: Path | str, threads: int, runtime: str) -> _Started:
    find_runtime(runtime)  # importing it is no part of loading the model
    begun = time.perf_counter()
    interpreter = make_interpreter(path, threads=threads, runtime=runtime)
    load_ms = (time.perf_counter() - begun) * 1000
    feed_random(interpreter)
    return _Started(Path(path), interpreter, load_ms, tuple(_timed_ms(interpreter) for _ in range(WARMUP_RUNS + 1)))


def _timed_ms(interpreter: Any) -> float:
    begun = time.perf_counter()
    interpreter.invoke()
    return (time.perf_counter() - begun) * 1000


def _result(
    started: _Started, samples: Sequence[float], threads: int, runtime: str, before: Environment, memory: PeakMemory | None
) -> LatencyResult:
    data = read_bytes(started.path, "model")
    return LatencyResult(
        model=started.path.name,
        runtime=str(find_runtime(runtime)),
        threads=threads,
        size_bytes=len(data),
        sha256=sha256(data),
        load_ms=started.load_ms,
        first_ms=started.warmup_ms[0],
        warmup_ms=started.warmup_ms[1:],
        samples_ms=tuple(samples),
        before=before,
        after=current_environment(),
        memory=memory,
    )
