"""Try a file on every target that this machine can run, compile for or judge, each by the module that knows the target.

What fails is a row of the table, and never ends it.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from conversion.targets.compiler import MissingToolError, failure_reason, run_compiler
from conversion.targets.edgetpu import EdgeTPUCheck, check_edgetpu, compile_for_edgetpu, find_compiler
from conversion.targets.edgetpu_rules import MAPS_IF
from conversion.targets.ethosu import compile_for_ethosu
from conversion.targets.exchange import agreement
from conversion.targets.micro import run_micro
from conversion.targets.openvino import run_openvino
from conversion.targets.snapdragon import compile_for_snapdragon
from conversion.targets.table import COMPILED, RAN, RULES, TargetRow, TargetTable
from mobile_eval.benchmark.latency import bench_interleaved
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes, read_json, sha256
from mobile_eval.model.archive import files_of
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.backend import Backend, Placement
from mobile_eval.runtime.compiled import NO_ACCELERATOR
from mobile_eval.runtime.interpreter import find_runtime
from mobile_eval.typed import checked
from mobile_eval.web.contract import EDGE_TYPES

ROUNDS = 20
TIMEOUT_S = 540
ETHOSU = ("ethos-u55-128", "ethos-u65-256", "ethos-u85-512")
SOCS = ("SM8550", "SM8650", "SM8750")
ARM = ("aarch64", "arm64", "armv7l", "armv8l")
TFLITE_RUNTIME = "tflite-runtime"
NEEDS_TFLITE_RUNTIME = (
    "in an environment of Python up to 3.11: `pip install 'hrnet-tf[tflite-runtime]'`, then give its Python by `python`"
)
NEEDS_ARM = "`tools/arm_userland.sh FOLDER` makes an emulated one on Debian; then give FOLDER/python by `python`"
RETRY_BROWSER = "convert it with `hrnet convert --for browser`"


@dataclass(frozen=True)
class _OtherPlacement:
    """Where the operators of a model ran, as `hrnet benchmark --json` writes it."""

    delegate: str
    operators: int | None
    delegated: int | None
    partitions: int | None
    remaining: dict[str, int]


@dataclass(frozen=True)
class _OtherMachine:
    """The machine as `hrnet benchmark --json` writes it."""

    architecture: str


@dataclass(frozen=True)
class _OtherLatency:
    """What `hrnet benchmark --json` writes of a model."""

    runtime: str
    p50_ms: float
    size_bytes: int
    placement: _OtherPlacement
    after: _OtherMachine


class TargetTrials:
    """The targets of one file.

    Args:
        path: The file; of a detector one of its two files.
        threads: Number of threads for latencies on this machine.
        pythons: Python programs of other environments that run the file too: one with tflite-runtime, or one of an emulated ARM.
        qairt: Folder of an installed QAIRT for Snapdragon; None for the libraries of onnxruntime-qnn.

    Raises:
        HRNetError: The file cannot be read, or is damaged.
    """

    def __init__(
        self, path: Path | str, *, threads: int = 1, pythons: Sequence[Path | str] = (), qairt: Path | str | None = None
    ):
        self.path, self.threads, self.pythons, self.qairt = Path(path), threads, tuple(pythons), qairt
        graph = TFLiteGraph(path)
        self.operators = len(graph.operators)
        self._edges = (*graph.inputs, *graph.outputs)

    def table(self, on_target: Callable[[str], None] = lambda target: None) -> TargetTable:
        """Try every target.

        Args:
            on_target: Called with the name of a target before it is tried.
        """
        rows: list[TargetRow] = []
        with tempfile.TemporaryDirectory() as folder:
            for name, known_by, trial in self._trials(Path(folder)):
                on_target(name)
                rows.append(self._row(name, known_by, trial))
        architectures = [platform.machine(), *(row.target.rsplit(", ", 1)[-1] for row in rows if row.known_by == RAN)]
        if not set(ARM) & set(architectures):
            rows.append(TargetRow("ARM", note=NEEDS_ARM))
        if not any(row.target.startswith(TFLITE_RUNTIME) for row in rows):
            rows.append(TargetRow(TFLITE_RUNTIME, note=NEEDS_TFLITE_RUNTIME))
        return TargetTable(self.path, sha256(read_bytes(self.path, "model")), tuple(rows))

    def _trials(self, folder: Path) -> Iterator[tuple[str, str, Callable[[], TargetRow]]]:
        """Name, way to know, and function of every target."""
        here = platform.machine()
        yield f"XNNPACK, {here}", RAN, lambda: self._on_cpu(f"XNNPACK, {here}", Backend(threads=self.threads))
        if _is_installed(TFLITE_RUNTIME):
            name = f"{TFLITE_RUNTIME}, {here}"
            yield name, RAN, lambda: self._on_cpu(name, Backend(TFLITE_RUNTIME, self.threads))
        for python in self.pythons:
            yield str(python), RAN, lambda python=python: self._by_python(python, folder)  # type: ignore[misc]
        yield "OpenVINO", RAN, self._by_openvino
        yield "GPU by LiteRT", RAN, self._on_gpu
        yield "Edge TPU", RULES, lambda: self._on_edgetpu(folder)
        for accelerator in ETHOSU:
            yield accelerator, COMPILED, lambda name=accelerator: self._on_ethosu(name, folder)  # type: ignore[misc]
        for soc in SOCS:
            yield f"Snapdragon {soc}", COMPILED, lambda soc=soc: self._on_snapdragon(soc, folder)  # type: ignore[misc]
        yield "TFLite Micro", RAN, self._on_micro
        yield "browser", RULES, self._in_browser

    def _row(self, name: str, known_by: str, trial: Callable[[], TargetRow]) -> TargetRow:
        """The row of a target, whatever happens there."""
        try:
            return trial()
        except MissingToolError as error:
            return TargetRow(name, note=str(error))
        except HRNetError as error:
            return TargetRow(name, known_by, self.operators, 0, note=str(error))

    def _on_cpu(self, name: str, backend: Backend) -> TargetRow:
        [result] = bench_interleaved([self.path], backend, rounds=ROUNDS)
        both = "latency and size of both files" if len(files_of(self.path)) > 1 else ""
        notes = filter(None, (_incomplete(result.placement), both))
        return TargetRow(
            *(name, RAN, self.operators, self.operators, result.size_bytes, result.p50_ms),
            cost=f"measured, {_threads(backend.threads)}",
            note="; ".join(notes),
        )

    def _by_python(self, python: Path | str, folder: Path) -> TargetRow:
        """Run the file by the Python of another environment; on an emulated processor latency means nothing."""
        output = folder / "other.json"
        options = ["--runs", str(ROUNDS), "--threads", str(self.threads), "--no-memory", "--json", str(output)]
        command = [str(python), "-m", "mobile_eval", "benchmark", str(self.path.absolute()), *options]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        process = run_compiler(command, str(python), self.path, TIMEOUT_S, environment)
        if process.returncode:
            reason = failure_reason(process.stderr, process.returncode, r"(?i)error")
            raise HRNetError(f"{python} cannot run {self.path}: {reason}")
        result = checked(read_json(output, "latency"), _OtherLatency, f"the latency by {python}", extra=True)
        here, architecture = platform.machine(), result.after.architecture
        emulated = architecture != here
        notes = [_incomplete(Placement(**vars(result.placement)))]
        notes += [f"run on {here} as {architecture}: its latency means nothing, its outputs do"] if emulated else []
        return TargetRow(
            *(f"{result.runtime}, {architecture}", RAN, self.operators, self.operators, result.size_bytes),
            latency_ms=None if emulated else result.p50_ms,
            cost="" if emulated else f"measured, {_threads(self.threads)}",
            note="; ".join(filter(None, notes)),
        )

    def _by_openvino(self) -> TargetRow:
        result = run_openvino(self.path, self.threads)
        note = f"version {result.version}; {agreement(result.largest_difference)}"
        size, cost = self.path.stat().st_size, f"measured, {_threads(self.threads)}"
        return TargetRow("OpenVINO", RAN, self.operators, self.operators, size, result.p50_ms, cost=cost, note=note)

    def _on_gpu(self) -> TargetRow:
        try:
            [result] = bench_interleaved([self.path], Backend(accelerator="gpu"), rounds=ROUNDS)
        except HRNetError as error:
            if NO_ACCELERATOR["gpu"] in str(error):
                raise MissingToolError(NO_ACCELERATOR["gpu"]) from error
            raise
        figures = result.size_bytes, result.p50_ms
        return TargetRow("GPU by LiteRT", RAN, self.operators, self.operators, *figures, cost="measured")

    def _on_edgetpu(self, folder: Path) -> TargetRow:
        check, compiler = check_edgetpu(self.path), find_compiler()
        size, known_by = None, RULES
        if compiler:
            size = sum(path.stat().st_size for path in compile_for_edgetpu(self.path, folder, compiler).paths)
            known_by = COMPILED
        return TargetRow("Edge TPU", known_by, self.operators, len(check.mapped), size, note=_edgetpu_note(check))

    def _on_ethosu(self, accelerator: str, folder: Path) -> TargetRow:
        result = compile_for_ethosu(self.path, folder, accelerator)
        on_cpu = ", ".join(f"{count} {kind}" for kind, count in result.cpu_operators.items())
        if not result.npu_operators:
            return TargetRow(accelerator, COMPILED, self.operators, 0, note=f"on the CPU: {on_cpu}")
        memory = round((result.sram_kib + result.dram_kib) * 1024)
        size, taken = result.path.stat().st_size, self.operators - sum(result.cpu_operators.values())
        cost = f"Vela's estimate, {result.cycles / 1e6:.2f} M cycles"
        note = f"on the CPU: {on_cpu}" if on_cpu else ""
        return TargetRow(accelerator, COMPILED, self.operators, taken, size, result.inference_ms, memory, cost, note)

    def _on_snapdragon(self, soc: str, folder: Path) -> TargetRow:
        result = compile_for_snapdragon(self.path, folder, soc, self.qairt)
        notes = [f"on the CPU: {count} {kind}" for kind, count in result.cpu_operators.items()]
        notes += [f"in {result.partitions} pieces"] if result.partitions > 1 else []
        name, size = f"Snapdragon {soc}", result.compiled_bytes
        return TargetRow(name, COMPILED, self.operators, result.npu_operators, size, note="; ".join(notes))

    def _on_micro(self) -> TargetRow:
        result = run_micro(self.path)
        missing = ", ".join(f"{count} {kind}" for kind, count in result.missing.items())
        note = f"it lacks {missing}" if missing else agreement(result.largest_difference or 0)
        figures = {"size_bytes": result.flash_bytes, "memory_bytes": result.arena_bytes}
        return TargetRow("TFLite Micro", RAN, self.operators, result.supported, **figures, cost="arena", note=note)

    def _in_browser(self) -> TargetRow:
        """LiteRT.js runs what XNNPACK runs, but takes and returns arrays of few types."""
        others = sorted({tensor.dtype for tensor in self._edges} - set(EDGE_TYPES))
        if not others:
            note = "by the types of inputs and outputs alone; `hrnet web` writes a page that runs it"
            return TargetRow("browser", RULES, self.operators, self.operators, self.path.stat().st_size, note=note)
        note = f"LiteRT.js has no {' or '.join(others)} inputs and outputs: {RETRY_BROWSER}"
        return TargetRow("browser", RULES, self.operators, 0, note=note)


def _is_installed(runtime: str) -> bool:
    try:
        find_runtime(runtime)
    except HRNetError:
        return False
    return True


def _incomplete(placement: Placement) -> str:
    """Where operators ran if not all of them ran on the delegate."""
    return "" if placement.operators is None or placement.delegated == placement.operators else str(placement)


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _edgetpu_note(check: EdgeTPUCheck) -> str:
    """What `hrnet target edgetpu` says of a file, in a line."""
    notes = []
    if check.break_at is not None:
        first = check.operators[check.break_at]
        notes.append(f"from operator {first.index}, {first.kind}, on the CPU: {first.reason}")
    conditions = [f"{count} {kind} if {reason}" for kind, reason, count in check.conditions()]
    notes += [f"{MAPS_IF}: {', '.join(conditions)}"] if conditions else []
    streamed = sum(check.streamed.values())
    notes += [f"{streamed / 2**20:.2f} MiB of parameters stream in every inference"] if streamed else []
    return "; ".join(notes)
