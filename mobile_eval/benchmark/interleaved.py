"""Latency of one or several `.tflite` files that take turns, with the ratios of all to the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.benchmark.bootstrap import Interval, ratio_of_medians
from mobile_eval.benchmark.latency import ROUNDS, LatencyResult, bench_interleaved, measure_peak_memory
from mobile_eval.errors import HRNetError
from mobile_eval.files import AnyPath
from mobile_eval.runtime.backend import Backend, parse_delegate
from mobile_eval.runtime.interpreter import load_delegate
from mobile_eval.tables import DataFrame, data_frame
from mobile_eval.typed import JsonObject

MEBIBYTE = 2**20


@dataclass(frozen=True)
class BenchmarkResult:
    """Latencies of models that took turns. Indexing and iterating give the result of each model.

    Attributes:
        models: The latency of each model, in the order in which they were given.

    Example:
        >>> result = benchmark("full-int8.tflite", "pruned-int8.tflite")  # doctest: +SKIP
        >>> result[1].p50_ms, result.ratio(1), result.ratio_interval(1)  # doctest: +SKIP
        (2.71, 0.74, Interval(low=0.73, high=0.75))
    """

    models: tuple[LatencyResult, ...]

    def __len__(self) -> int:
        return len(self.models)

    def __getitem__(self, index: int) -> LatencyResult:
        return self.models[index]

    def __iter__(self) -> Iterator[LatencyResult]:
        return iter(self.models)

    def ratio(self, index: int) -> float:
        """Median latency of model number `index` over that of the first."""
        return self.models[index].p50_ms / self.models[0].p50_ms

    def ratio_interval(self, index: int) -> Interval | None:
        """95 % interval of the ratio, over the rounds of this run; None for the first model."""
        return ratio_of_medians(self.models[index].samples_ms, self.models[0].samples_ms) if index else None

    def to_json(self) -> JsonObject:
        """Plain data: the figures of each model with every sample, its ratio to the first, and the interval of the ratio."""
        intervals = [self.ratio_interval(index) for index in range(len(self))]
        ratios = [
            {"ratio": self.ratio(index), "ratio_interval": dataclasses.asdict(interval) if interval else None}
            for index, interval in enumerate(intervals)
        ]
        return {"models": [{**ratio, **model.to_json()} for ratio, model in zip(ratios, self.models, strict=True)]}

    def to_pandas(self) -> DataFrame:
        """A data frame with a row for each model. Raises HRNetError if pandas is not installed."""
        return data_frame([self._row(index) for index in range(len(self))])

    def _row(self, index: int) -> JsonObject:
        model, interval = self.models[index], self.ratio_interval(index)
        return {
            "model": model.model,
            "p50_ms": model.p50_ms,
            "p90_ms": model.p90_ms,
            "ratio": self.ratio(index),
            "ratio_low": interval.low if interval else None,
            "ratio_high": interval.high if interval else None,
            "size_bytes": model.size_bytes,
            "peak_memory_bytes": model.memory.peak_bytes if model.memory else None,
            "rounds": len(model.samples_ms),
            "threads": model.threads,
            "runtime": model.runtime,
        }

    def __str__(self) -> str:
        first, width = self.models[0], max(len(model.model) for model in self.models)
        threads = f"{first.threads} thread{'s' if first.threads > 1 else ''}"
        lines = [
            f"{first.runtime}, {threads}, {first.after.processor}: {len(first.samples_ms)} rounds, models taking turns",
            f"{'model':<{width}}  p50 ms  p90 ms  ratio (95 % of this run)  size MB  memory MiB",
        ]
        return "\n".join([*lines, *(self._line(index, width) for index in range(len(self)))])

    def _line(self, index: int, width: int) -> str:
        model, interval = self.models[index], self.ratio_interval(index)
        ratio = f"{self.ratio(index):.3f} ({interval.low:.3f} to {interval.high:.3f})" if interval else "1"
        memory = f"{model.memory.peak_bytes / MEBIBYTE:.1f}" if model.memory else "-"
        times = f"{model.model:<{width}}  {model.p50_ms:>6.2f}  {model.p90_ms:>6.2f}"
        return f"{times}  {ratio:<24}  {model.size_bytes / 1e6:>7.3f}  {memory:>10}"


def benchmark(
    *paths: AnyPath,
    threads: int = 1,
    rounds: int = ROUNDS,
    runtime: str = "auto",
    delegate: str | None = None,
    memory: bool = True,
    progress: bool = False,
) -> BenchmarkResult:
    """Measure the latency of one or several `.tflite` files on this machine.

    The models take turns, so that other load on the machine affects all of them alike. Times are those of the network alone, on
    random input, after a warm-up.

    Args:
        paths: The files, any `.tflite`; of a detector the first file. Ratios are to the first one.
        threads: Number of CPU threads.
        rounds: Number of timed runs of each model.
        runtime: TFLite runtime: "auto", "ai-edge-litert" or "tflite-runtime".
        delegate: "edgetpu", or the path of a delegate library; None for the CPU.
        memory: Whether to measure peak memory too, in another process for each model.
        progress: Whether to show a progress bar.

    Returns:
        The latency of each model, and ratios with intervals.

    Raises:
        HRNetError: There is no file, a file cannot be read, or the runtime cannot run a model.

    Example:
        >>> print(benchmark("full-int8.tflite", "pruned-int8.tflite", threads=4))  # doctest: +SKIP
    """
    backend = Backend(runtime, threads, delegate=parse_delegate(delegate))
    return benchmark_in_turns(paths, backend, rounds=rounds, memory=memory, progress=progress)


def benchmark_in_turns(
    paths: Sequence[AnyPath], backend: Backend, *, rounds: int = ROUNDS, memory: bool = True, progress: bool = False
) -> BenchmarkResult:
    """Measure models that take turns, as `benchmark` does, with any backend.

    Args:
        paths: The files. Ratios are to the first one.
        backend: Runtime, threads and delegate.
        rounds: Number of timed runs of each model.
        memory: Whether to measure peak memory too.
        progress: Whether to show a progress bar.
    """
    if not paths:
        raise HRNetError("`paths` must have at least one .tflite file, got none")
    load_delegate(backend)  # fails here, with its reason, and not in another process
    results = bench_interleaved(list(map(Path, paths)), backend, rounds=rounds, progress=progress)
    peaks = [measure_peak_memory(Path(path), backend) if memory else None for path in paths]
    measured = zip(results, peaks, strict=True)
    return BenchmarkResult(tuple(dataclasses.replace(result, memory=peak) for result, peak in measured))
