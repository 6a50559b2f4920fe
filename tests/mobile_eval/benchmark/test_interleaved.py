"""Results of models that take turns."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mobile_eval.benchmark.interleaved import BenchmarkResult, benchmark
from mobile_eval.errors import HRNetError


def test_ratios_are_to_the_first_model(model_path: Callable[..., Path]) -> None:
    [measured] = benchmark(str(model_path("int8")), rounds=2)
    assert measured.memory is not None
    full = dataclasses.replace(measured, model="full.tflite", samples_ms=(4.0, 4.0, 4.4), size_bytes=2_000_000)
    pruned = dataclasses.replace(full, model="pruned.tflite", samples_ms=(3.0, 2.0, 3.3), memory=None)
    result = BenchmarkResult((full, pruned))
    assert (len(result), result[1], list(result)) == (2, pruned, [full, pruned])
    assert (result.ratio(0), result.ratio(1)) == (1.0, 0.75)
    interval = result.ratio_interval(1)
    assert interval is not None
    assert (interval.low, interval.high) == (0.5, 0.75)
    assert result.ratio_interval(0) is None
    data = json.loads(json.dumps(result.to_json()))["models"]
    assert [model["ratio"] for model in data] == [1.0, 0.75]
    assert data[1]["ratio_interval"] == {"low": 0.5, "high": 0.75}
    assert data[0]["samples_ms"] == [4.0, 4.0, 4.4]
    assert str(result).splitlines()[2].split()[:5] == ["full.tflite", "4.00", "4.32", "1", "2.000"]
    assert str(result).splitlines()[3].split() == [
        "pruned.tflite",
        "3.00",
        "3.24",
        "0.750",
        "(0.500",
        "to",
        "0.750)",
        "2.000",
        "-",
    ]
    frame = result.to_pandas()
    assert frame["ratio"].tolist() == [1.0, 0.75]
    assert frame["peak_memory_bytes"][0] == measured.memory.peak_bytes


def test_nothing_to_measure() -> None:
    with pytest.raises(HRNetError, match="`paths`"):
        benchmark()
