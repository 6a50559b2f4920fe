"""Compile an int8 `.tflite` for Arm's Ethos-U with Arm's compiler, Vela (the library ethos-u-vela).

Vela's cycles and times are estimates by its model of the accelerator and its memories, not measurements.
"""

from __future__ import annotations

import csv
import importlib.metadata
import importlib.util
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from conversion.targets.compiler import MissingToolError, failure_reason, run_compiler, save_compiled
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.model.archive import check_is_tflite, check_not_compiled
from mobile_eval.model.graph import TFLiteGraph

NEEDS_VELA = "compiling for Ethos-U needs Arm's Vela: `pip install 'hrnet-tf[ethosu]'`"
ACCELERATORS = (
    *(f"ethos-u55-{macs}" for macs in (32, 64, 128, 256)),
    *(f"ethos-u65-{macs}" for macs in (256, 512)),
    *(f"ethos-u85-{macs}" for macs in (128, 256, 512, 1024, 2048)),
)
TIMEOUT_S = 1200
RUN_VELA = "import sys; from ethosu.vela.vela import main; sys.exit(main())"


@dataclass(frozen=True)
class EthosUResult:
    """A compiled file and Vela's estimates.

    Attributes:
        path: The compiled file.
        accelerator: The accelerator that it was compiled for, one of ACCELERATORS.
        version: Version of Vela.
        npu_operators: Number of operators on the NPU.
        cpu_operators: Number of operators on the CPU, by kind.
        cycles: Estimated cycles of an inference.
        inference_ms: Estimated time of an inference, in milliseconds.
        sram_kib: Peak memory in SRAM.
        dram_kib: Peak memory in DRAM.
        multiply_adds: Multiply-adds of an inference.
    """

    path: Path
    accelerator: str
    version: str
    npu_operators: int
    cpu_operators: dict[str, int]
    cycles: int
    inference_ms: float
    sram_kib: float
    dram_kib: float
    multiply_adds: int

    @property
    def operators(self) -> int:
        """Number of operators."""
        return self.npu_operators + sum(self.cpu_operators.values())

    @property
    def npu_share(self) -> float:
        """Share of the operators that run on the NPU."""
        return self.npu_operators / self.operators if self.operators else 0.0

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.npu_share:.1%} of {self.operators} operators on the NPU"]
        lines += [f"  {count} {kind} on the CPU" for kind, count in self.cpu_operators.items()]
        lines.append(
            f"  estimated for {self.accelerator}: {self.cycles / 1e6:.2f} M cycles, {self.inference_ms:.2f} ms, "
            f"{self.sram_kib:.0f} KiB SRAM, {self.dram_kib:.0f} KiB DRAM (Vela {self.version})"
        )
        return "\n".join(lines)


def compile_for_ethosu(path: Path | str, output: Path | str, accelerator: str = "ethos-u65-256") -> EthosUResult:
    """Compile an int8 file.

    Args:
        path: The file, NAME.tflite.
        output: Folder for the compiled file, NAME_vela.tflite.
        accelerator: One of ACCELERATORS.

    Raises:
        HRNetError: If Vela is not installed, there is no such accelerator, or Vela refuses the file.
    """
    if accelerator not in ACCELERATORS:
        raise HRNetError(f"`accelerator` must be one of {', '.join(ACCELERATORS)}, got {accelerator!r}")
    check_is_tflite(path, read_bytes(path, "model"))
    check_not_compiled(path)
    TFLiteGraph(path)  # raises HRNetError for a damaged file; Vela would fail with a traceback
    if importlib.util.find_spec("ethosu") is None:
        raise MissingToolError(NEEDS_VELA)
    with tempfile.TemporaryDirectory() as folder:
        options = ["--accelerator-config", accelerator, "--output-dir", folder, "--verbose-performance"]
        command = [sys.executable, "-c", RUN_VELA, str(path), *options]
        process = run_compiler(command, "Vela", path, TIMEOUT_S)
        compiled, summaries = list(Path(folder).glob("*_vela.tflite")), list(Path(folder).glob("*_summary_*.csv"))
        if process.returncode or not compiled or not summaries:
            reason = failure_reason(process.stdout + process.stderr, process.returncode, "^[Ee]rror")
            raise HRNetError(f"Vela refused {path}: {reason}")
        target = Path(output, compiled[0].name)
        result = _result(target, accelerator, summaries[0], process.stdout)
        save_compiled(compiled[0].read_bytes(), target, path)
    return result


def _result(path: Path, accelerator: str, summary: Path, log: str) -> EthosUResult:
    with summary.open(newline="") as file:
        row = next(csv.DictReader(file))
    npu = re.search(r"NPU operators = (\d+)", log)
    return EthosUResult(
        path=path,
        accelerator=accelerator,
        version=importlib.metadata.version("ethos-u-vela"),
        npu_operators=int(npu[1]) if npu else 0,
        cpu_operators=_cpu_operators(summary),
        cycles=round(float(row["cycles_total"])),
        inference_ms=float(row["inference_time"]) * 1e3,
        sram_kib=float(row["sram_memory_used"]),
        dram_kib=float(row["dram_memory_used"]),
        multiply_adds=round(float(row["nn_macs"])),
    )


def _cpu_operators(summary: Path) -> dict[str, int]:
    [layers] = summary.parent.glob("*per-layer.csv")
    with layers.open(newline="") as file:
        return dict(Counter(row["Original Operator"] for row in csv.DictReader(file) if row["Target"] == "CPU"))
