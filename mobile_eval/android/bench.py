"""`hrnet bench` for a phone: TFLite's own `benchmark_model` runs there, and what it printed becomes the same JSON.

Latency, peak memory and the profile of operators are runs of their own, since measuring either of the last two slows the model
down. The tool keeps no samples: of percentiles there are p5, p50 and p95 where its version prints them.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_eval.android.adb import Phone, killable
from mobile_eval.android.benchmark_tool import (
    Measured,
    OperatorTime,
    Target,
    command,
    failure,
    parse_output,
    parse_profile,
)
from mobile_eval.android.programs import check_program
from mobile_eval.android.state import PhoneInfo, phone_environment, phone_info
from mobile_eval.benchmark.environment import UNAVAILABLE, Environment, state_line
from mobile_eval.benchmark.latency import MEMORY_RUNS, QUICK, WARMUP_RUNS, Effort
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes, sha256
from mobile_eval.model.archive import check_is_tflite

TOOL = "benchmark_model"
PROFILE = Effort(20)
CANNOT_START = (126, 127)  # what a shell says of a program that does not start
SHOWN_KINDS = 5


@dataclass(frozen=True)
class PhoneLatencyResult:
    """What `bench` measured, in milliseconds; `profile` are the operators (empty where they were not asked for)."""

    model: str
    size_bytes: int
    sha256: str
    tool_sha256: str
    serial: str
    phone: PhoneInfo
    target: Target
    mode: str
    measured: Measured
    before: Environment
    after: Environment
    command: str
    peak_bytes: int | None = None
    profile: tuple[OperatorTime, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data with the keys of `hrnet bench`, null for what benchmark_model does not tell; and its own."""
        steady, measured = self.measured.steady, self.measured
        memory = {"peak_bytes": self.peak_bytes, "before_loading_bytes": None} if self.peak_bytes else None
        shared = {
            "p50_ms": steady.p50_ms,
            "p90_ms": None,
            "p99_ms": None,
            "mean_ms": steady.mean_ms,
            "std_ms": steady.std_ms,
            "min_ms": steady.min_ms,
            "max_ms": steady.max_ms,
            "drift": None,
            "model": self.model,
            "runtime": f"{TOOL}, version {UNAVAILABLE}",
            "threads": self.target.threads,
            "placement": dataclasses.asdict(measured.placement),
            "mode": self.mode,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "load_ms": measured.load_ms,
            "first_ms": measured.first_ms,
            "warmup_ms": None,
            "samples_ms": None,
            "before": dataclasses.asdict(self.before),
            "after": dataclasses.asdict(self.after),
            "memory": memory,
            "pipeline": None,
        }
        own = {"runs": steady.runs, "p5_ms": steady.p5_ms, "p95_ms": steady.p95_ms, "warmup": dataclasses.asdict(measured.warmup)}
        added = {"init_bytes": measured.init_bytes, "overall_bytes": measured.overall_bytes}
        phone = {"serial": self.serial, **dataclasses.asdict(self.phone)}
        tool = {"command": self.command, "tool_sha256": self.tool_sha256}
        operators = [dataclasses.asdict(operator) for operator in self.profile]
        return {**shared, **own, "footprint": added, "phone": phone, **tool, "operators": operators or None}

    def __str__(self) -> str:
        steady, measured = self.measured.steady, self.measured
        threads = f"{self.target.threads} thread{'s' if self.target.threads > 1 else ''}"
        lines = [
            f"{self.model}: {TOOL}, {threads}, {self.phone}",
            f"  p50 {_shown(steady.p50_ms)} ms   p5 {_shown(steady.p5_ms)}   p95 {_shown(steady.p95_ms)}   "
            f"({self.mode}: {steady.runs} runs)",
            f"  mean {steady.mean_ms:.2f}   std {_shown(steady.std_ms)}   min {steady.min_ms:.2f}   max {steady.max_ms:.2f}",
            f"  load {measured.load_ms:.1f} ms   first {measured.first_ms:.2f} ms   size {self.size_bytes / 1e6:.3f} MB",
            f"  {measured.placement}",
        ]
        if self.peak_bytes:
            lines.append(f"  peak memory {self.peak_bytes / 2**20:.1f} MiB")
        state = state_line(self.before, self.after)
        return "\n".join([*lines, *([f"  {state}"] if state else []), *self._kinds()])

    def _kinds(self) -> list[str]:
        """The kinds of operators that take the most time."""
        sums: Counter[str] = Counter()
        for operator in self.profile:
            sums[operator.kind] += operator.ms if operator.calls and not operator.inside else 0  # type: ignore[assignment]
        most = ", ".join(f"{kind} {ms:.2f}" for kind, ms in sums.most_common(SHOWN_KINDS) if ms)
        return [f"  operators, ms in a profiled run: {most}"] if most else []


def bench(
    phone: Phone,
    model: Path | str,
    program: Path | str,
    target: Target,
    *,
    effort: Effort = QUICK,
    warmup: int = WARMUP_RUNS + 1,
    memory: bool = True,
    operators: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> PhoneLatencyResult:
    """Time `model` on the phone with the benchmark_model at `program`; the phone is left as it was."""
    data = read_bytes(model, "model")
    check_is_tflite(model, data)
    info = phone_info(phone)
    check_program(program, info.abis)
    say(f"{phone.serial}: {info}")
    with phone.folder() as folder:
        phone.push([program], f"{folder}/{TOOL}")
        phone.push([model], f"{folder}/model.tflite")
        phone.checked(f"chmod 755 {folder}/{TOOL}")
        before = phone_environment(phone, info, target.cores)
        say(f"{phone.serial}: latency, {effort.runs} runs and {effort.seconds:g} s at least")
        line = command(folder, target, effort, warmup, [])
        measured = parse_output(_run(phone, folder, line), target)
        after = phone_environment(phone, info, target.cores)
        say(f"{phone.serial}: {' and '.join(['peak memory'] * memory + ['operators'] * operators) or 'cleaning up'}")
        peak = _peak_bytes(phone, folder, target) if memory else None
        profile = _profile(phone, folder, target, warmup) if operators else ()
    return PhoneLatencyResult(
        model=Path(model).name,
        size_bytes=len(data),
        sha256=sha256(data),
        tool_sha256=sha256(read_bytes(program, "benchmark binary")),
        serial=phone.serial,
        phone=info,
        target=target,
        mode=effort.mode,
        measured=measured,
        before=before,
        after=after,
        command=line.replace(f"{folder}/", ""),
        peak_bytes=peak,
        profile=profile,
    )


def _run(phone: Phone, folder: str, line: str) -> str:
    """What benchmark_model printed; HRNetError, in its own words, where it failed."""
    done = phone.shell(killable(line, folder), timeout_s=None)
    if done.status in CANNOT_START:
        raise HRNetError(f"the phone {phone.serial} cannot start the benchmark binary: {done.reason.removeprefix('sh: ')}")
    if done.status > 128:
        raise HRNetError(f"benchmark_model crashed on the phone (signal {done.status - 128}); it said last: {failure(done.text)}")
    if done.status:
        raise HRNetError(f"benchmark_model failed on the phone: {failure(done.text)}")
    return done.text


def _peak_bytes(phone: Phone, folder: str, target: Target) -> int | None:
    line = command(folder, target, Effort(MEMORY_RUNS), 1, ["--report_peak_memory_footprint=true"])
    return parse_output(_run(phone, folder, line), target).peak_bytes


def _profile(phone: Phone, folder: str, target: Target, warmup: int) -> tuple[OperatorTime, ...]:
    """Its CSV; LiteRT's tool, which knows --use_profiler, prints tables only."""
    file = f"{folder}/profile.csv"
    extra = ["--enable_op_profiling=true", f"--profiling_output_csv_file={file}", "--use_profiler=true"]
    output = _run(phone, folder, command(folder, target, PROFILE, warmup, extra))
    if not phone.shell(f"test -s {file}").status:
        with tempfile.TemporaryDirectory() as here:
            phone.pull(file, Path(here, "profile.csv"))
            output = Path(here, "profile.csv").read_text(encoding="utf-8", errors="replace")
    try:
        return parse_profile(output)
    except HRNetError as error:
        raise HRNetError(f"{error}; `no_operators` leaves it out") from error


def _shown(value: float | None) -> str:
    return UNAVAILABLE if value is None else f"{value:.2f}"
