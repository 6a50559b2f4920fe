"""Latency measurement: reports, and the order of models."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobile_eval.benchmark import environment, latency
from mobile_eval.benchmark.latency import MODES, Effort, bench, bench_interleaved, choose_effort, measure_peak_memory
from mobile_eval.errors import HRNetError
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.interpreter import feed_random, make_interpreter
from mobile_eval.runtime.isolated_process import STATUS
from tests.mobile_eval.conftest import MicroModels


class Sleeper:
    """An interpreter with a fixed run time that records its calls."""

    def __init__(self, name: str, seconds: float, calls: list[str]):
        self.name, self.seconds, self.calls = name, seconds, calls

    def get_input_details(self) -> list[Any]:
        return []

    def invoke(self) -> None:
        self.calls.append(self.name)
        time.sleep(self.seconds)


@pytest.fixture
def sleepers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[list[Path], list[str]]:
    """Two stub models that take 2 and 8 ms, and the recorded calls."""
    calls: list[str] = []
    paths = [tmp_path / "fast.tflite", tmp_path / "slow.tflite"]
    times = {"fast": 0.002, "slow": 0.008}
    for path in paths:
        path.write_bytes(path.stem.encode())
    monkeypatch.setattr(latency, "is_described", lambda path: True)
    monkeypatch.setattr(latency, "TFLiteModel", lambda path, backend: None)
    monkeypatch.setattr(latency, "time_pipeline", lambda model: None)
    monkeypatch.setattr(latency, "files_of", lambda path: [Path(path)])
    monkeypatch.setattr(latency, "check_runs", lambda paths, backend: None)
    monkeypatch.setattr(latency, "open_interpreter", lambda path, *_: Sleeper(path.stem, times[path.stem], calls))
    return paths, calls


def test_bench_reports_everything(model_path: Callable[..., Path]) -> None:
    path = model_path()
    result = bench(path, Backend(threads=2), effort=Effort(12))
    assert len(result.samples_ms) == 12
    assert result.min_ms <= result.p50_ms <= result.p90_ms <= result.p99_ms <= max(result.samples_ms)
    assert result.min_ms <= result.mean_ms <= max(result.samples_ms)
    assert result.load_ms > 0
    assert result.first_ms > 0
    assert result.size_bytes == path.stat().st_size
    assert len(result.sha256) == 64
    assert result.threads == 2
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert {"p50_ms", "p90_ms", "p99_ms", "load_ms", "first_ms", "samples_ms", "size_bytes", "runtime", "memory"} < set(data)
    assert {"processor", "governor", "temperature_celsius"} < set(data["before"])
    assert {"std_ms", "max_ms", "drift", "mode", "placement", "pipeline"} < set(data)
    assert (result.mode, result.placement.delegate) == ("custom", "XNNPACK")
    assert "p50" in str(result)
    assert result.pipeline is not None
    assert min(result.pipeline.preprocess_ms, result.pipeline.network_ms, result.pipeline.decode_ms) > 0


def test_choose_effort() -> None:
    assert (MODES["full"].runs, MODES["full"].seconds) == (1024, 60)
    assert choose_effort("rapid").mode == "rapid"
    assert choose_effort("quick", runs=3) == Effort(3, 0)
    assert choose_effort("quick", seconds=3) == Effort(1, 3)
    assert choose_effort("quick", runs=3).mode == "custom"
    with pytest.raises(HRNetError, match="'slow'"):
        choose_effort("slow")


def test_drift_of_a_device_that_slows_down(sleepers: tuple[list[Path], list[str]]) -> None:
    result = dataclasses.replace(
        bench(sleepers[0][0], effort=Effort(9), memory=False), samples_ms=(2.0,) * 3 + (9.0,) + (3.0,) * 5
    )
    assert result.drift == pytest.approx(0.5)
    assert result.max_ms == 9
    assert "drift +50.0%" in str(result)


def test_minimum_duration(sleepers: tuple[list[Path], list[str]]) -> None:
    result = bench(sleepers[0][0], effort=Effort(2, 0.1), memory=False)
    assert len(result.samples_ms) > 10
    assert result.memory is None


def test_models_take_turns(sleepers: tuple[list[Path], list[str]]) -> None:
    paths, calls = sleepers
    rounds: list[int] = []
    fast, slow = bench_interleaved(paths, rounds=6, on_round=rounds.append)
    timed = calls[2 * (1 + latency.WARMUP_RUNS) :]
    assert timed[:8] == ["fast", "fast", "slow", "slow", "slow", "slow", "fast", "fast"]
    assert (fast.model, slow.model) == ("fast.tflite", "slow.tflite")
    assert len(fast.samples_ms) == len(slow.samples_ms) == 6
    assert slow.min_ms > 2 * fast.min_ms
    assert rounds == [1, 2, 3, 4, 5, 6]
    [_, slow] = bench_interleaved(paths, rounds=2, clock=time.thread_time)
    assert slow.max_ms < 4  # sleeping takes 8 ms, and no processor time


def test_plain_files_without_description(tmp_path: Path, micro: MicroModels) -> None:
    paths = []
    for name, flatbuffer in micro.flatbuffers.items():
        paths.append(tmp_path / f"{name}.tflite")
        paths[-1].write_bytes(flatbuffer)
    results = bench_interleaved(paths, rounds=3)
    assert [result.size_bytes for result in results] == [len(flatbuffer) for flatbuffer in micro.flatbuffers.values()]


def test_random_input_has_the_full_range(model_path: Callable[..., Path]) -> None:
    interpreter = make_interpreter(model_path("int8"))
    feed_random(interpreter)
    values = interpreter.get_tensor(interpreter.get_input_details()[0]["index"])
    assert values.dtype == np.int8
    assert (values.min(), values.max()) == (-128, 127)


@pytest.mark.skipif(not STATUS.exists(), reason="peak memory is read from /proc")
def test_peak_memory(model_path: Callable[..., Path], tmp_path: Path) -> None:
    memory = measure_peak_memory(model_path(), Backend())
    assert memory is not None
    assert memory.peak_bytes > memory.before_loading_bytes > 5_000_000
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(HRNetError, match=r"broken\.tflite"):
        measure_peak_memory(broken, Backend())


def test_crash_of_the_runtime_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = tmp_path / "crash"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(200))
    with pytest.raises(HRNetError, match=r"foreign\.tflite \(SIGSEGV\)"):
        bench(foreign, memory=False)


def test_damaged_model_is_not_timed(model_path: Callable[..., Path]) -> None:
    path = model_path()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(HRNetError, match=path.name):
        bench(path, memory=False)


def test_settings_are_checked(model_path: Callable[..., Path]) -> None:
    with pytest.raises(HRNetError, match="got 0"):
        Effort(0)
    with pytest.raises(HRNetError, match="got 5 and 0"):
        bench_interleaved([], rounds=5)


def test_environment_of_an_arm_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 108.00\n\nModel\t\t: Raspberry Pi 5 Model B\n")
    for number, value in enumerate((41000, 52500)):
        zone = tmp_path / "thermal" / f"thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(f"{value}\n")
    (tmp_path / "cpufreq").mkdir()
    (tmp_path / "cpufreq" / "scaling_governor").write_text("performance\n")
    (tmp_path / "cpufreq" / "scaling_cur_freq").write_text("2400000\n")
    monkeypatch.setattr(environment, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(environment, "THERMAL", tmp_path / "thermal")
    monkeypatch.setattr(environment, "CPU_FREQUENCY", tmp_path / "cpufreq")
    state = environment.current_environment()
    assert state.processor == "Raspberry Pi 5 Model B"
    assert (state.governor, state.frequency_mhz, state.temperature_celsius) == ("performance", 2400, 52.5)
    line = environment.state_line(dataclasses.replace(state, temperature_celsius="unavailable"), state)
    assert line.endswith(
        "governor performance   before, after: 2400.0, 2400.0 MHz   before, after: unavailable, 52.5 degrees Celsius"
    )


def test_environment_without_information(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CPU_INFO", "THERMAL", "CPU_FREQUENCY"):
        monkeypatch.setattr(environment, name, tmp_path / "absent")
    state = environment.current_environment()
    assert state.governor == state.temperature_celsius == state.frequency_mhz == "unavailable"
    assert environment.state_line(state, dataclasses.replace(state, allowed_cores=())) == ""
    assert environment.state_line(state, dataclasses.replace(state, allowed_cores=(0, 2))) == "cores 0,2"
