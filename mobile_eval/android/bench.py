"""Measure latency on a phone: TFLite's `benchmark_model` runs there, its output becomes the JSON of `hrnet benchmark`.

Latency, peak memory and operator times are separate runs, because measuring memory or operators slows the model down. The tool
keeps no samples; it prints p5, p50 and p95 in newer versions only.
"""

from __future__ import annotations

import dataclasses
import logging
import struct
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.android.adb import Phone, killable
from mobile_eval.android.benchmark_tool import (
    BenchmarkOutput,
    PhoneBackend,
    PhoneOperatorTime,
    command,
    failure,
    parse_output,
    parse_profile,
)
from mobile_eval.android.state import PhoneInfo, phone_environment, phone_info
from mobile_eval.benchmark.environment import UNAVAILABLE, Environment, state_line
from mobile_eval.benchmark.latency import MEMORY_RUNS, QUICK, WARMUP_RUNS, Effort
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes, sha256
from mobile_eval.model.archive import check_is_tflite
from mobile_eval.typed import JsonObject

TOOL = "benchmark_model"
PROFILE = Effort(20)
CANNOT_START = (126, 127)  # exit statuses of a shell that cannot start a program
SIGNALLED = 128  # a shell adds the number of the signal that ended the program
SHOWN_KINDS = 5
ELF_MAGIC, ELF_HEADER = b"\x7fELF", 20  # bytes of the header that are read
# e_machine of the ELF header, by Android's names (https://developer.android.com/ndk/guides/abis).
MACHINES = {183: ("arm64-v8a",), 40: ("armeabi-v7a", "armeabi"), 62: ("x86_64",), 3: ("x86",), 243: ("riscv64",)}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhoneMeasurement:
    """What was measured on the phone.

    Attributes:
        command: The command line of benchmark_model.
        timing: Its output.
        before: State of the phone before the measurement.
        after: State of the phone after it.
        peak_bytes: Peak memory; None where it was not measured.
        operators: Times of the operators; empty where they were not measured.
    """

    command: str
    timing: BenchmarkOutput
    before: Environment
    after: Environment
    peak_bytes: int | None = None
    operators: tuple[PhoneOperatorTime, ...] = ()

    def to_json(self) -> JsonObject:
        """Convert to plain data with the keys of `hrnet benchmark`, null where the tool reports no value, and further keys."""
        timing, steady = self.timing, self.timing.steady
        not_reported = ("p90_ms", "p99_ms", "drift", "warmup_ms", "samples_ms", "pipeline")
        memory = {"peak_bytes": self.peak_bytes, "before_loading_bytes": None} if self.peak_bytes else None
        return {
            **dataclasses.asdict(steady),
            **dict.fromkeys(not_reported),
            "load_ms": timing.load_ms,
            "first_ms": timing.first_ms,
            "warmup": dataclasses.asdict(timing.warmup),
            "placement": dataclasses.asdict(timing.placement),
            "footprint": {"init_bytes": timing.init_bytes, "overall_bytes": timing.overall_bytes},
            "memory": memory,
            "operators": [dataclasses.asdict(operator) for operator in self.operators] or None,
            "command": self.command,
            "before": dataclasses.asdict(self.before),
            "after": dataclasses.asdict(self.after),
        }


@dataclass(frozen=True)
class PhoneLatencyResult:
    """The latency of one model on a phone.

    Attributes:
        model: File name.
        size_bytes: Size of the file.
        sha256: Checksum of the file.
        tool_sha256: Checksum of benchmark_model.
        serial: Serial number of the phone.
        phone: The phone.
        backend: How the model was run.
        mode: Name of the effort.
        measurement: What was measured.
    """

    model: str
    size_bytes: int
    sha256: str
    tool_sha256: str
    serial: str
    phone: PhoneInfo
    backend: PhoneBackend
    mode: str
    measurement: PhoneMeasurement

    def to_json(self) -> JsonObject:
        """Convert to plain data; see `PhoneMeasurement.to_json`."""
        return {
            "model": self.model,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "runtime": f"{TOOL}, version {UNAVAILABLE}",
            "tool_sha256": self.tool_sha256,
            "threads": self.backend.threads,
            "mode": self.mode,
            "phone": {"serial": self.serial, **dataclasses.asdict(self.phone)},
            **self.measurement.to_json(),
        }

    def __str__(self) -> str:
        measurement, timing, steady = self.measurement, self.measurement.timing, self.measurement.timing.steady
        threads = f"{self.backend.threads} thread{'s' if self.backend.threads > 1 else ''}"
        lines = [
            f"{self.model}: {TOOL}, {threads}, {self.phone}",
            f"  p50 {_formatted(steady.p50_ms)} ms   p5 {_formatted(steady.p5_ms)}   p95 {_formatted(steady.p95_ms)}   "
            f"({self.mode}: {steady.runs} runs)",
            f"  mean {steady.mean_ms:.2f}   std {_formatted(steady.std_ms)}   min {steady.min_ms:.2f}   max {steady.max_ms:.2f}",
            f"  load {timing.load_ms:.1f} ms   first {timing.first_ms:.2f} ms   size {self.size_bytes / 1e6:.3f} MB",
            f"  {timing.placement}",
        ]
        if measurement.peak_bytes:
            lines.append(f"  peak memory {measurement.peak_bytes / 2**20:.1f} MiB")
        state = state_line(measurement.before, measurement.after)
        return "\n".join([*lines, *([f"  {state}"] if state else []), *self._slowest_kinds()])

    def _slowest_kinds(self) -> list[str]:
        """A line with the kinds of operators that take the most time; none without a profile."""
        sums: dict[str, float] = defaultdict(float)
        for operator in self.measurement.operators:
            sums[operator.kind] += operator.ms if operator.calls and not operator.inside else 0
        slowest = sorted(sums.items(), key=lambda item: -item[1])[:SHOWN_KINDS]
        listing = ", ".join(f"{kind} {ms:.2f}" for kind, ms in slowest if ms)
        return [f"  operators, ms in a profiled run: {listing}"] if listing else []


def bench(
    phone: Phone,
    model: Path | str,
    program: Path | str,
    backend: PhoneBackend,
    *,
    effort: Effort = QUICK,
    warmup: int = WARMUP_RUNS + 1,
    memory: bool = True,
    operators: bool = True,
) -> PhoneLatencyResult:
    """Measure a model on a phone. Everything that is copied to the phone is removed again.

    Args:
        phone: The phone.
        model: Any `.tflite`.
        program: TFLite's benchmark_model, built for the phone.
        backend: Threads, delegate and cores.
        effort: Minimum number and duration of runs.
        warmup: Number of warm-up runs.
        memory: Whether to measure peak memory too.
        operators: Whether to measure operators too.

    Raises:
        HRNetError: The phone was disconnected, or the program fails on it.
    """
    data = read_bytes(model, "model")
    check_is_tflite(model, data)
    info = phone_info(phone)
    check_program(program, info.abis)
    logger.info("%s: %s", phone.serial, info)
    with phone.folder() as folder:
        _copy(phone, folder, program, model)
        measurement = _measure(phone, folder, info, backend, effort, warmup)
        if memory:
            measurement = dataclasses.replace(measurement, peak_bytes=_peak_bytes(phone, folder, backend))
        if operators:
            measurement = dataclasses.replace(measurement, operators=_operator_times(phone, folder, backend, warmup))
    hashes = sha256(data), sha256(read_bytes(program, "benchmark binary"))
    return PhoneLatencyResult(Path(model).name, len(data), *hashes, phone.serial, info, backend, effort.mode, measurement)


def _copy(phone: Phone, folder: str, program: Path | str, model: Path | str) -> None:
    phone.push([program], f"{folder}/{TOOL}")
    phone.push([model], f"{folder}/model.tflite")
    phone.checked(f"chmod 755 {folder}/{TOOL}")


def _measure(phone: Phone, folder: str, info: PhoneInfo, backend: PhoneBackend, effort: Effort, warmup: int) -> PhoneMeasurement:
    """Measure the latency of the model in `folder`."""
    logger.info("%s: measuring latency, at least %d runs and %g s", phone.serial, effort.runs, effort.seconds)
    before = phone_environment(phone, info, backend.cores)
    line = command(folder, backend, effort, warmup, [])
    timing = parse_output(_run(phone, folder, line), backend)
    return PhoneMeasurement(line.replace(f"{folder}/", ""), timing, before, phone_environment(phone, info, backend.cores))


def _run(phone: Phone, folder: str, line: str) -> str:
    """Run benchmark_model and return its output; HRNetError gives its reason where it fails."""
    result = phone.shell(killable(line, folder), timeout_s=None)
    if result.status in CANNOT_START:
        raise HRNetError(f"the phone {phone.serial} cannot start the benchmark binary: {result.reason.removeprefix('sh: ')}")
    if result.status > SIGNALLED:
        signal = result.status - SIGNALLED
        raise HRNetError(f"benchmark_model crashed on the phone (signal {signal}); its last message: {failure(result.output)}")
    if result.status:
        raise HRNetError(f"benchmark_model failed on the phone: {failure(result.output)}")
    return result.output


def _peak_bytes(phone: Phone, folder: str, backend: PhoneBackend) -> int | None:
    logger.info("%s: measuring peak memory", phone.serial)
    line = command(folder, backend, Effort(MEMORY_RUNS), 1, ["--report_peak_memory_footprint=true"])
    return parse_output(_run(phone, folder, line), backend).peak_bytes


def _operator_times(phone: Phone, folder: str, backend: PhoneBackend, warmup: int) -> tuple[PhoneOperatorTime, ...]:
    """Run the profiler. TFLite's tool writes CSV; LiteRT's, which knows --use_profiler, only prints tables."""
    logger.info("%s: measuring operators", phone.serial)
    file = f"{folder}/profile.csv"
    extra = ["--enable_op_profiling=true", f"--profiling_output_csv_file={file}", "--use_profiler=true"]
    output = _run(phone, folder, command(folder, backend, PROFILE, warmup, extra))
    if not phone.shell(f"test -s {file}").status:
        with tempfile.TemporaryDirectory() as here:
            phone.pull(file, Path(here, "profile.csv"))
            output = Path(here, "profile.csv").read_text(encoding="utf-8", errors="replace")
    try:
        return parse_profile(output)
    except HRNetError as error:
        raise HRNetError(f"{error}; turn `operators` off to measure without it") from error


def _formatted(value: float | None) -> str:
    return UNAVAILABLE if value is None else f"{value:.2f}"


def check_program(path: Path | str, abis: tuple[str, ...]) -> None:
    """Refuse a program that a phone of these ABIs cannot run, before it is copied.

    Args:
        path: The program.
        abis: The phone's ABIs, such as "arm64-v8a".

    Raises:
        HRNetError: The file is not an ELF program, or is built for another processor.
    """
    data = read_bytes(path, "benchmark binary")[:ELF_HEADER]
    if len(data) < ELF_HEADER or not data.startswith(ELF_MAGIC):
        raise HRNetError(f"{path} is not an Android program (no ELF header): give TFLite's benchmark_model for {abis[0]}")
    order = ">" if data[5] == 2 else "<"  # EI_DATA
    (machine,) = struct.unpack_from(f"{order}H", data, 18)
    names = MACHINES.get(machine, (f"machine {machine}",))
    if not set(names) & set(abis):
        raise HRNetError(f"{path} is for {names[0]}, but the phone runs {', '.join(abis)}: give the build for {abis[0]}")
