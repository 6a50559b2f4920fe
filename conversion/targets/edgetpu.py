"""Will a `.tflite` run on the Edge TPU? A static check by the documented rules, and the real compiler where there is one.

The compiler maps operators from the first on; after the first that it does not take, that one and all later ones run
on the CPU. Parameters are kept in about 8 MB of on-chip memory, in the order of the graph; what does not fit is
streamed from the host at every inference.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from conversion.targets.compiled_file import save_compiled
from conversion.targets.edgetpu_rules import CPU, MAPS_IF, verdict
from mobile_eval.benchmark.profile import part_of
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_bytes
from mobile_eval.model.archive import check_not_compiled
from mobile_eval.model.graph import DAMAGED, Operator, TFLiteGraph

COMPILER = "edgetpu_compiler"
ON_CHIP_BYTES = int(7.7 * 2**20)  # what is usable of 8 MB for parameters
TIMEOUT_S = 600


@dataclass(frozen=True)
class OperatorCheck:
    """One operator: `verdict` is maps, maps if or cpu; `reason` is the rule that says so. Sizes in bytes."""

    index: int
    kind: str
    layer: str | None
    part: str
    verdict: str
    reason: str
    multiply_adds: int
    parameter_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class EdgeTpuCheck:
    """What the documented rules say of a file.

    `break_at` is the index of the first operator that is not mapped (None: all are); what comes after it runs on the
    CPU whatever it is. `streamed` are the parts of the network whose parameters do not fit on the chip, with their bytes.
    """

    path: Path
    operators: tuple[OperatorCheck, ...] = field(repr=False)
    break_at: int | None
    streamed: dict[str, int]

    @property
    def mapped(self) -> tuple[OperatorCheck, ...]:
        """The operators before the first break."""
        return self.operators[: self.break_at]

    @property
    def multiply_adds_share(self) -> float:
        """Share of the multiply-adds that runs on the Edge TPU; 0 where there are none."""
        total = sum(operator.multiply_adds for operator in self.operators)
        return sum(operator.multiply_adds for operator in self.mapped) / total if total else 0.0

    @property
    def parameter_bytes(self) -> int:
        """Parameters of the mapped operators."""
        return sum(operator.parameter_bytes for operator in self.mapped)

    @property
    def largest(self) -> OperatorCheck:
        """The operator with the most activations, in and out."""
        return max(self.operators, key=lambda operator: operator.activation_bytes)

    def conditions(self) -> list[tuple[str, str, int]]:
        """(kind, reason, how many) of the mapped operators that map only on a condition."""
        counted = Counter((o.kind, o.reason) for o in self.mapped if o.verdict == MAPS_IF)
        return [(kind, reason, count) for (kind, reason), count in counted.items()]

    def __str__(self) -> str:
        lines = [f"{self.path.name}: {len(self.mapped)} of {len(self.operators)} operators map to the Edge TPU"]
        lines[0] += f", {self.multiply_adds_share:.1%} of the multiply-adds"
        for kind, reason, count in self.conditions():
            lines.append(f"  {count} {kind}: if {reason}")
        if self.break_at is not None:
            first = self.operators[self.break_at]
            where = f" ({first.layer})" if first.layer else ""
            lines.append(f"  from operator {first.index}, {first.kind}{where}, on the CPU: {first.reason}")
        lines.append(
            f"  parameters: {self.parameter_bytes / 2**20:.2f} MiB; on chip there is room for {ON_CHIP_BYTES / 2**20:.1f}"
        )
        if self.streamed:
            lines.append(f"  streamed at every inference: {_mebibytes(sum(self.streamed.values()))}, of")
            lines += [f"    {part}: {_mebibytes(size)}" for part, size in self.streamed.items()]
        large = self.largest
        lines.append(
            f"  largest activations: {large.activation_bytes / 2**20:.2f} MiB, {large.kind} ({large.layer or large.index})"
        )
        if large.activation_bytes > ON_CHIP_BYTES:
            lines.append("  the compiler may refuse this: large activation tensors")
        return "\n".join(lines)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.2f} MiB"


def check(path: Path | str) -> EdgeTpuCheck:
    """Judge every operator of the file at `path` by the documented rules; HRNetError where it was compiled already."""
    check_not_compiled(path)
    rows = []
    for operator in TFLiteGraph(path).operators:
        try:
            rows.append(_judged(operator))
        except (IndexError, ValueError) as error:
            what = f"{operator.kind} {operator.index} lacks an input, an output or a dimension"
            raise HRNetError(DAMAGED.format(path=path, reason=what)) from error
    break_at = next((row.index for row in rows if row.verdict == CPU), None)
    return EdgeTpuCheck(Path(path), tuple(rows), break_at, _streamed(rows[:break_at]))


def _judged(operator: Operator) -> OperatorCheck:
    said = verdict(operator)
    computed = [t for t in (*operator.inputs, *operator.outputs) if not t.constant]
    return OperatorCheck(
        operator.index,
        operator.kind,
        operator.layer,
        part_of(operator.layer),
        said.what,
        said.reason,
        operator.multiply_adds,
        sum(t.size_bytes for t in operator.inputs if t.constant),
        sum(t.size_bytes for t in computed),
    )


def _streamed(rows: list[OperatorCheck]) -> dict[str, int]:
    """Bytes of what does not fit, by module of the network: whole layers are kept on the chip, first come first served."""
    left, streamed = ON_CHIP_BYTES, Counter[str]()
    for row in rows:
        if row.parameter_bytes > left:
            streamed["_".join(row.part.split("_")[:3])] += row.parameter_bytes
        else:
            left -= row.parameter_bytes
    return dict(streamed)


@dataclass(frozen=True)
class CompiledOperator:
    """A row of the compiler's log."""

    kind: str
    count: int
    status: str


@dataclass(frozen=True)
class CompileResult:
    """What the compiler made: the files, and what its log says."""

    version: str
    paths: tuple[Path, ...]
    operators: tuple[CompiledOperator, ...]
    on_chip: str
    off_chip: str
    subgraphs: int

    def __str__(self) -> str:
        mapped = sum(row.count for row in self.operators if row.status == "Mapped to Edge TPU")
        total = sum(row.count for row in self.operators)
        lines = [f"{', '.join(map(str, self.paths))}: {mapped} of {total} operators mapped (compiler {self.version})"]
        lines += [f"  {row.count} {row.kind}: {row.status}" for row in self.operators if row.status != "Mapped to Edge TPU"]
        lines.append(f"  parameters on chip {self.on_chip}, streamed {self.off_chip}; {self.subgraphs} Edge TPU subgraphs")
        return "\n".join(lines)


def find_compiler(given: Path | str | None) -> str | None:
    """The compiler at the given path, or on the PATH; None where none is given and none is there."""
    found = shutil.which(str(given or COMPILER))
    if given and not found:
        raise HRNetError(f"no compiler that can be run at {given}")
    return found


def compile_for_edgetpu(path: Path | str, output: Path | str, compiler: str, segments: int = 1) -> CompileResult:
    """Compile the int8 file at `path` into the folder `output`; HRNetError with the compiler's reason where it refuses."""
    with tempfile.TemporaryDirectory() as folder:
        command = [compiler, "--show_operations", "--out_dir", folder]
        command += ["--num_segments", str(segments)] if segments > 1 else []
        try:
            done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HRNetError(f"{compiler} did not compile {path}: {error}") from error
        made = sorted(Path(folder).glob("*_edgetpu.tflite"))
        log = done.stdout + done.stderr
        if done.returncode or not made:
            raise HRNetError(f"{compiler} refused {path}: {_complaint(log, done.returncode)}")
        result = parse_log(log)
        paths = []
        for file in made:
            paths.append(Path(output, file.name))
            if segments == 1:
                save_compiled(file.read_bytes(), paths[-1], path)
            else:  # a part of the network, which the description is not of
                write_bytes(paths[-1], file.read_bytes())
    return CompileResult(result.version, tuple(paths), result.operators, result.on_chip, result.off_chip, result.subgraphs)


def parse_log(log: str) -> CompileResult:
    """What the compiler's printed log says. Several segments are summed up by kind and status."""

    def find(pattern: str, default: str = "unknown") -> str:
        match = re.search(pattern, log)
        return match[1].strip() if match else default

    rows: Counter[tuple[str, str]] = Counter()
    for kind, count, status in re.findall(r"^([A-Z][A-Z0-9_]+|[a-z][\w-]+)\s+(\d+)\s+(\S.*)$", log, re.MULTILINE):
        rows[kind, status.strip()] += int(count)
    return CompileResult(
        find(r"Edge TPU Compiler version ([\d.]+)"),
        (),
        tuple(CompiledOperator(kind, count, status) for (kind, status), count in rows.items()),
        find(r"On-chip memory used for caching model parameters: (\S+)"),
        find(r"Off-chip memory used for streaming uncached model parameters: (\S+)"),
        int(find(r"Number of Edge TPU subgraphs: (\d+)", "0")),
    )


def _complaint(log: str, code: int) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    told = [line for line in lines if re.search(r"(?i)error|invalid|fail|not supported|abort", line)]
    return (told or lines or [f"exit code {code}"])[0]
