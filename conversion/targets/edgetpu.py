"""Check a `.tflite` for the Edge TPU by the documented rules, and compile it with Google's compiler if that is installed.

The compiler maps operators to the Edge TPU in the order of the graph. The first that it cannot map runs on the CPU, and so do all
after it. Parameters are cached in about 8 MB of on-chip memory, in the order of the graph; those that do not fit are streamed
from the host in every inference.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conversion.targets.compiler import failure_reason, run_compiler, save_compiled
from conversion.targets.edgetpu_rules import CPU, MAPS_IF, is_well_formed, judge
from mobile_eval.benchmark.profile import part_of
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_bytes
from mobile_eval.model.archive import check_not_compiled
from mobile_eval.model.graph import DAMAGED, Operator, TFLiteGraph

COMPILER = "edgetpu_compiler"
ON_CHIP_BYTES = int(7.7 * 2**20)  # the part of 8 MB that can cache parameters
TIMEOUT_S = 600
MAPPED = "Mapped to Edge TPU"  # a status in the compiler's log
ERROR_PATTERN = r"(?i)error|invalid|fail|not supported|abort"


@dataclass(frozen=True)
class OperatorCheck:
    """What the rules say about one operator.

    Attributes:
        index: Index of the operator in the file.
        kind: Kind of the operator, such as CONV_2D.
        layer: Name of the layer that it is part of.
        part: Part of the network that it belongs to.
        verdict: "maps", "maps if" or "cpu".
        reason: The rule that decided; "" if it maps.
        multiply_adds: Its multiply-adds.
        parameter_bytes: Size of its constant inputs.
        activation_bytes: Size of its computed inputs and outputs.
    """

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
class EdgeTPUCheck:
    """What the documented rules say about a file.

    Attributes:
        path: The file.
        operators: The verdict on each operator.
        break_at: Index of the first operator that is not mapped; it and all after it run on the CPU. None if all are mapped.
        streamed: Bytes of the parameters that do not fit on the chip, by part of the network.
    """

    path: Path
    operators: tuple[OperatorCheck, ...] = field(repr=False)
    break_at: int | None
    streamed: dict[str, int]

    @property
    def mapped(self) -> tuple[OperatorCheck, ...]:
        """The operators that run on the Edge TPU."""
        return self.operators[: self.break_at]

    @property
    def multiply_adds_share(self) -> float:
        """Share of the multiply-adds that run on the Edge TPU; 0 if there are none."""
        total = sum(operator.multiply_adds for operator in self.operators)
        return sum(operator.multiply_adds for operator in self.mapped) / total if total else 0.0

    @property
    def parameter_bytes(self) -> int:
        """Size of the parameters of the mapped operators."""
        return sum(operator.parameter_bytes for operator in self.mapped)

    @property
    def largest(self) -> OperatorCheck:
        """The operator with the most activation bytes."""
        return max(self.operators, key=lambda operator: operator.activation_bytes)

    def conditions(self) -> list[tuple[str, str, int]]:
        """Kind, condition and number of the operators that map on a condition."""
        counts = Counter((operator.kind, operator.reason) for operator in self.mapped if operator.verdict == MAPS_IF)
        return [(kind, reason, count) for (kind, reason), count in counts.items()]

    def __str__(self) -> str:
        lines = [f"{self.path.name}: {len(self.mapped)} of {len(self.operators)} operators map to the Edge TPU"]
        lines[0] += f", {self.multiply_adds_share:.1%} of the multiply-adds"
        for kind, reason, count in self.conditions():
            lines.append(f"  {count} {kind}: if {reason}")
        if self.break_at is not None:
            first = self.operators[self.break_at]
            where = f" ({first.layer})" if first.layer else ""
            lines.append(f"  from operator {first.index}, {first.kind}{where}, on the CPU: {first.reason}")
        lines.append(f"  parameters: {_mebibytes(self.parameter_bytes)}, of which {_mebibytes(ON_CHIP_BYTES)} fit on the chip")
        if self.streamed:
            lines.append(f"  streamed in every inference: {_mebibytes(sum(self.streamed.values()))}, of which")
            lines += [f"    {part}: {_mebibytes(size)}" for part, size in self.streamed.items()]
        largest = self.largest
        size, name = _mebibytes(largest.activation_bytes), largest.layer or largest.index
        lines.append(f"  largest activations: {size}, {largest.kind} ({name})")
        if largest.activation_bytes > ON_CHIP_BYTES:
            lines.append("  the compiler may refuse the file for its large activations")
        return "\n".join(lines)


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.2f} MiB"


def check_edgetpu(path: Path | str) -> EdgeTPUCheck:
    """Check every operator of a file by the documented rules.

    Raises:
        HRNetError: If the file is damaged, or was already compiled for an accelerator.
    """
    check_not_compiled(path)
    rows = []
    for operator in TFLiteGraph(path).operators:
        if not is_well_formed(operator):
            reason = f"{operator.kind} {operator.index} lacks an input, an output or a dimension"
            raise HRNetError(DAMAGED.format(path=path, reason=reason))
        rows.append(_check_operator(operator))
    break_at = next((row.index for row in rows if row.verdict == CPU), None)
    return EdgeTPUCheck(Path(path), tuple(rows), break_at, _streamed(rows[:break_at]))


def _check_operator(operator: Operator) -> OperatorCheck:
    verdict = judge(operator)
    activations = [tensor for tensor in (*operator.inputs, *operator.outputs) if not tensor.constant]
    return OperatorCheck(
        index=operator.index,
        kind=operator.kind,
        layer=operator.layer,
        part=part_of(operator.layer),
        verdict=verdict.placement,
        reason=verdict.reason,
        multiply_adds=operator.multiply_adds,
        parameter_bytes=sum(tensor.size_bytes for tensor in operator.inputs if tensor.constant),
        activation_bytes=sum(tensor.size_bytes for tensor in activations),
    )


def _streamed(rows: Sequence[OperatorCheck]) -> dict[str, int]:
    """Bytes of the parameters that do not fit on the chip, by module. Layers are cached whole, in the order of the graph."""
    free_bytes, streamed = ON_CHIP_BYTES, Counter[str]()
    for row in rows:
        if row.parameter_bytes > free_bytes:
            streamed["_".join(row.part.split("_")[:3])] += row.parameter_bytes
        else:
            free_bytes -= row.parameter_bytes
    return dict(streamed)


@dataclass(frozen=True)
class CompiledOperator:
    """A row of the compiler's log: operators of one kind and status."""

    kind: str
    count: int
    status: str


@dataclass(frozen=True)
class CompileResult:
    """The compiled files and the figures in the compiler's log.

    Attributes:
        version: Version of the compiler.
        paths: The compiled files, one for each segment.
        operators: Number of operators by kind and status.
        on_chip: Size of the parameters that are cached on the chip, as in the log, such as "4.31MiB".
        off_chip: Size of the parameters that are streamed.
        subgraphs: Number of subgraphs that run on the Edge TPU.
    """

    version: str
    paths: tuple[Path, ...]
    operators: tuple[CompiledOperator, ...]
    on_chip: str
    off_chip: str
    subgraphs: int

    def __str__(self) -> str:
        mapped = sum(row.count for row in self.operators if row.status == MAPPED)
        total = sum(row.count for row in self.operators)
        lines = [f"{', '.join(map(str, self.paths))}: {mapped} of {total} operators mapped (compiler {self.version})"]
        lines += [f"  {row.count} {row.kind}: {row.status}" for row in self.operators if row.status != MAPPED]
        lines.append(f"  parameters on chip {self.on_chip}, streamed {self.off_chip}; {self.subgraphs} Edge TPU subgraphs")
        return "\n".join(lines)


def find_compiler(path: Path | str | None = None) -> str | None:
    """Find Google's compiler.

    Args:
        path: Its path; None searches the PATH.

    Returns:
        Its path; None if there is none on the PATH.

    Raises:
        HRNetError: If there is no program at `path`.
    """
    program = shutil.which(str(path or COMPILER))
    if path and not program:
        raise HRNetError(f"`compiler` {path} is not a program that can be run")
    return program


def compile_for_edgetpu(path: Path | str, output: Path | str, compiler: str, segments: int = 1) -> CompileResult:
    """Compile an int8 file.

    Args:
        path: The file.
        output: Folder for the compiled files.
        compiler: Path of the compiler.
        segments: Number of files to split the model into, for a pipeline of Edge TPUs.

    Raises:
        HRNetError: If the compiler refuses the file; the message gives its reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [compiler, "--show_operations", "--out_dir", folder]
        command += ["--num_segments", str(segments)] if segments > 1 else []
        process = run_compiler([*command, str(path)], compiler, path, TIMEOUT_S)
        compiled = sorted(Path(folder).glob("*_edgetpu.tflite"))
        log = process.stdout + process.stderr
        if process.returncode or not compiled:
            raise HRNetError(f"{compiler} refused {path}: {failure_reason(log, process.returncode, ERROR_PATTERN)}")
        result = parse_log(log)
        paths = [Path(output, file.name) for file in compiled]
        for file, target in zip(compiled, paths, strict=True):
            if segments == 1:
                save_compiled(file.read_bytes(), target, path)
            else:  # the description is not that of a segment
                write_bytes(target, file.read_bytes())
    return dataclasses.replace(result, paths=tuple(paths))


def parse_log(log: str) -> CompileResult:
    """Read the figures in the compiler's log, without paths. The operators of several segments are added."""

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
