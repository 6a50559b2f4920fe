"""An int8 `.tflite` for Arm's Ethos-U, by Arm's own compiler, Vela (the library ethos-u-vela); its estimates as a result.

Vela's cycles and times are estimates of its model of the accelerator and its memories, not measurements.
"""

from __future__ import annotations

import csv
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from conversion.targets.compiled_file import save_compiled
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
    """What Vela made of one file. Cycles, time and memory are its estimates; memory is the arena's peak.

    `cpu_operators` counts the operators, by kind, that it leaves to the CPU.
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
    def npu_share(self) -> float:
        """Share of the operators that run on the NPU."""
        total = self.npu_operators + sum(self.cpu_operators.values())
        return self.npu_operators / total if total else 0.0

    def __str__(self) -> str:
        lines = [
            f"{self.path}: {self.npu_share:.1%} of {self.npu_operators + sum(self.cpu_operators.values())} operators on the NPU"
        ]
        lines += [f"  {count} {kind} on the CPU" for kind, count in self.cpu_operators.items()]
        lines.append(
            f"  estimated for {self.accelerator}: {self.cycles / 1e6:.2f} M cycles, {self.inference_ms:.2f} ms, "
            f"{self.sram_kib:.0f} KiB SRAM, {self.dram_kib:.0f} KiB DRAM (Vela {self.version})"
        )
        return "\n".join(lines)


def compile_for_ethosu(path: Path | str, output: Path | str, accelerator: str = "ethos-u65-256") -> EthosUResult:
    """Compile the file at `path` into the folder `output` as `NAME_vela.tflite`.

    Raises HRNetError where Vela is not installed, does not know the accelerator, or refuses the file.
    """
    if accelerator not in ACCELERATORS:
        raise HRNetError(f"no accelerator named {accelerator!r}; there are {', '.join(ACCELERATORS)}")
    check_is_tflite(path, read_bytes(path, "model"))
    check_not_compiled(path)
    TFLiteGraph(path)  # refuses a damaged file, of which Vela shows a traceback
    if importlib.util.find_spec("ethosu") is None:
        raise HRNetError(NEEDS_VELA)
    with tempfile.TemporaryDirectory() as folder:
        options = ["--accelerator-config", accelerator, "--output-dir", folder, "--verbose-performance"]
        command = [sys.executable, "-c", RUN_VELA, str(path), *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise HRNetError(f"Vela did not finish {path} in {error.timeout:.0f} s") from None
        made, summaries = list(Path(folder).glob("*_vela.tflite")), list(Path(folder).glob("*_summary_*.csv"))
        if done.returncode or not made or not summaries:
            raise HRNetError(f"Vela refused {path}: {_complaint(done.stdout + done.stderr, done.returncode)}")
        target = Path(output, made[0].name)
        result = _result(target, accelerator, summaries[0], done.stdout)
        save_compiled(made[0].read_bytes(), target, path)
    return result


def _result(path: Path, accelerator: str, summary: Path, printed: str) -> EthosUResult:
    with summary.open(newline="") as file:
        row = next(csv.DictReader(file))
    npu = re.search(r"NPU operators = (\d+)", printed)
    return EthosUResult(
        path=path,
        accelerator=accelerator,
        version=importlib.metadata.version("ethos-u-vela"),
        npu_operators=int(npu[1]) if npu else 0,
        cpu_operators=_on_cpu(summary),
        cycles=round(float(row["cycles_total"])),
        inference_ms=float(row["inference_time"]) * 1e3,
        sram_kib=float(row["sram_memory_used"]),
        dram_kib=float(row["dram_memory_used"]),
        multiply_adds=round(float(row["nn_macs"])),
    )


def _on_cpu(summary: Path) -> dict[str, int]:
    [layers] = summary.parent.glob("*per-layer.csv")
    with layers.open(newline="") as file:
        return dict(Counter(row["Original Operator"] for row in csv.DictReader(file) if row["Target"] == "CPU"))


def _complaint(log: str, code: int) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("Error", "error"))]
    return (told or lines[-1:] or [f"exit code {code}"])[0]
