"""Run a `.tflite` by the interpreter of TensorFlow Lite for Microcontrollers (TFLM).

TFLM (PyPI: tflite-micro) allocates every tensor in one block of memory, the arena, and reads the weights where the file is, in
flash. Its kernels are the portable ones in C++; those of a device's maker (CMSIS-NN, ESP-NN) are not in the package, so that
nothing here tells a time. TFLM runs in another process: it crashes on some files that it cannot run.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from conversion.targets.compiler import MissingToolError, failure_reason
from conversion.targets.exchange import INPUT, agreement, largest_difference, run_module, run_reference
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.model.archive import check_is_tflite, check_not_compiled, is_described, read_description
from mobile_eval.model.graph import Operator, TFLiteGraph

NEEDS_MICRO = "running TFLite Micro needs tflite-micro, which has wheels for Linux x86_64 alone: `pip install 'hrnet-tf[micro]'`"
SPARE_BYTES = 2**24  # of the arena that the file runs in, beside all its tensors
MODULE = "conversion.targets.micro_process"
ALLOCATED = r"Arena allocation {part} (\d+) bytes"  # printed by TFLM
ERROR_PATTERN = r"(?i)didn't find op|not supported|unsupported|fail|error"


@dataclass(frozen=True)
class MicroResult:
    """How a file runs by TFLM.

    Attributes:
        path: The file.
        version: Version of tflite-micro.
        operators: Number of operators.
        missing: Number of operators that TFLM cannot run, by kind and data type; empty if it runs the file.
        flash_bytes: Size of the model in flash, without its description.
        weight_bytes: Size of its constants, which are a part of it.
        arena_bytes: Memory that the file needs; None if it cannot be run.
        activation_bytes: The part of the arena that holds activations, each place reused as soon as it is free.
        largest_difference: Largest difference of an output value, as stored, from TFLite's reference kernels on random input.
    """

    path: Path
    version: str
    operators: int
    missing: dict[str, int]
    flash_bytes: int
    weight_bytes: int
    arena_bytes: int | None = None
    activation_bytes: int | None = None
    largest_difference: float | None = None

    @property
    def supported(self) -> int:
        """Number of operators that TFLM can run."""
        return self.operators - sum(self.missing.values())

    def __str__(self) -> str:
        counts = f"{self.supported} of {self.operators} operators"
        lines = [f"{self.path.name}: TFLite Micro runs {counts} (tflite-micro {self.version})"]
        lines += [f"  {count} {kind}: not supported" for kind, count in self.missing.items()]
        lines.append(f"  flash: {self.flash_bytes / 1e3:.1f} kB, of which constants {self.weight_bytes / 1e3:.1f} kB")
        if self.arena_bytes is not None and self.activation_bytes is not None:
            rest = self.arena_bytes - self.activation_bytes
            lines.append(
                f"  arena: {self.arena_bytes / 1e3:.1f} kB, of which activations {self.activation_bytes / 1e3:.1f} kB; the other "
                f"{rest / 1e3:.1f} kB are less on a 32-bit processor"
            )
        if self.largest_difference is not None:
            lines.append(f"  {agreement(self.largest_difference)}")
        return "\n".join(lines)


def run_micro(path: Path | str) -> MicroResult:
    """Run a file by TFLM, and compare its outputs with those of TFLite's reference kernels.

    Args:
        path: The file. int8 is what microcontrollers compute in; float32 runs too where TFLM has the kernels.

    Raises:
        MissingToolError: tflite-micro is not installed.
        HRNetError: The file is damaged or was compiled for an accelerator, or TFLM fails on it
            for another reason than an operator that it lacks.

    Example:
        >>> print(run_micro("pose-micro-int8.tflite"))  # doctest: +SKIP
        pose-micro-int8.tflite: TFLite Micro runs 57 of 57 operators (tflite-micro 0.dev20261023182759)
          flash: 225.4 kB, of which constants 180.6 kB
          arena: 98.3 kB, of which activations 79.1 kB; the other 19.2 kB are less on a 32-bit processor
          outputs: equal to those of TFLite's reference kernels on random input
    """
    data = read_bytes(path, "model")
    check_is_tflite(path, data)
    check_not_compiled(path)
    graph = TFLiteGraph(path)
    if importlib.util.find_spec("tflite_micro") is None:
        raise MissingToolError(NEEDS_MICRO)
    flatbuffer = data[: _flatbuffer_bytes(path, data)]
    constants = {tensor.index: tensor.size_bytes for op in graph.operators for tensor in op.inputs if tensor.constant}
    result = MicroResult(Path(path), _version(), len(graph.operators), {}, len(flatbuffer), sum(constants.values()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = run_reference(path, folder)
        process = _run(folder, flatbuffer, _generous_arena(graph, len(flatbuffer)))
        if process.returncode:
            missing = _missing_operators(graph, folder)
            if not missing:
                reason = failure_reason(process.stdout + process.stderr, process.returncode, ERROR_PATTERN)
                raise HRNetError(f"TFLite Micro cannot run {path}: {reason}")
            return dataclasses.replace(result, missing=missing)
        difference = largest_difference(reference, folder)
    total, activations = (_allocated(process.stderr, part) for part in ("total", "head"))
    return dataclasses.replace(result, arena_bytes=total, activation_bytes=activations, largest_difference=difference)


def _flatbuffer_bytes(path: Path | str, data: bytes) -> int:
    """Size of a model without the description at its end, which a device needs not store."""
    flatbuffer = read_description(path).flatbuffer if is_described(path) else None
    return flatbuffer.size_bytes if flatbuffer else len(data)


def _generous_arena(graph: TFLiteGraph, size_bytes: int) -> int:
    """A size of the arena that is enough for any model, because no two tensors have to share a place."""
    tensors = (tensor for operator in graph.operators for tensor in (*operator.inputs, *operator.outputs))
    return sum({tensor.index: tensor.size_bytes for tensor in tensors}.values()) + size_bytes + SPARE_BYTES


def _run(folder: Path, flatbuffer: bytes, arena_bytes: int) -> subprocess.CompletedProcess[str]:
    """Run a model in another process, on the inputs that lie in `folder`, which gets the outputs."""
    model = folder / "model.tflite"
    model.write_bytes(flatbuffer)
    return run_module(MODULE, (folder, arena_bytes), "TFLite Micro", model)


def _missing_operators(graph: TFLiteGraph, folder: Path) -> dict[str, int]:
    """Number of the operators that TFLM cannot prepare alone, by kind and data type."""
    for path in folder.glob(INPUT.format("*")):
        path.unlink()  # operators are prepared, not run
    counts: Counter[str] = Counter()
    runs: dict[tuple[str, str], bool] = {}
    for operator in graph.operators:
        kind = operator.kind, _dtype(operator)
        if kind not in runs:
            runs[kind] = _run(folder, graph.extract(operator.index), SPARE_BYTES + 2 * _size(operator)).returncode == 0
        if not runs[kind]:
            counts[" ".join(kind)] += 1
    return dict(counts)


def _dtype(operator: Operator) -> str:
    return next((tensor.dtype for tensor in operator.inputs if not tensor.constant), "constant")


def _size(operator: Operator) -> int:
    return sum(tensor.size_bytes for tensor in (*operator.inputs, *operator.outputs))


def _allocated(log: str, part: str) -> int | None:
    match = re.search(ALLOCATED.format(part=part), log)
    return int(match[1]) if match else None


def _version() -> str:
    try:
        return importlib.metadata.version("tflite-micro")
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"
