"""Compile a `.tflite` for the NPU of a Snapdragon with Qualcomm's compiler, through LiteRT's compiler plugin.

LiteRT (ai-edge-litert) has the plugin; Qualcomm's libraries come from the wheel onnxruntime-qnn, or from an installed QAIRT. The
compiled file runs on the phone by LiteRT's CompiledModel. What it costs there is not known here: nothing is measured.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from conversion.targets.compiler import MissingToolError, failure_reason, run_compiler, save_compiled
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.model.archive import DISPATCH_OPERATOR, check_is_tflite, check_not_compiled
from mobile_eval.model.graph import TFLiteGraph

SOCS = ("SM8350", "SM8450", "SM8475", "SM8550", "SM8650", "SM8750", "SM8845", "SM8850", "SA8255", "SA8295")  # of LiteRT
NEEDS_LITERT = "compiling for Snapdragon needs ai-edge-litert 2.3 or newer on Linux x86_64: `pip install -U ai-edge-litert`"
NEEDS_QAIRT = "compiling for Snapdragon needs Qualcomm's libraries: `pip install 'hrnet-tf[snapdragon]'`, or give `qairt`"
COMPILER, PLUGIN = "tools/apply_plugin_main", "vendors/qualcomm/compiler"
NEEDED, STAND_IN = "libQnnHtp.so", "libQnnSystem.so"
UNUSED = "libQnnLpai.so"  # that the plugin names, but takes nothing from
QAIRT_FOLDERS = ("", "lib/x86_64-linux-clang")
SELECTED = re.compile(r"selected (\d+) ops, from a total of (\d+) ops\. resulted in (\d+) partitions")
TIMEOUT_S = 600


class CompilerRefusedError(HRNetError):
    """The compiler does not compile a file for a SoC."""


@dataclass(frozen=True)
class SnapdragonResult:
    """A compiled file.

    Attributes:
        path: The compiled file.
        soc: The SoC that it was compiled for.
        npu_operators: Number of operators on the NPU.
        partitions: Number of pieces that they run in.
        cpu_operators: Number of operators on the CPU, by kind.
        source_bytes: Size of the file before.
        compiled_bytes: Size of the compiled file.
    """

    path: Path
    soc: str
    npu_operators: int
    partitions: int
    source_bytes: int
    compiled_bytes: int
    cpu_operators: dict[str, int] = field(default_factory=dict)

    @property
    def operators(self) -> int:
        """Number of operators."""
        return self.npu_operators + sum(self.cpu_operators.values())

    def __str__(self) -> str:
        pieces = f"{self.partitions} partition{'s' if self.partitions != 1 else ''}"
        sizes = f"{self.source_bytes / 1e6:.3f} MB, compiled {self.compiled_bytes / 1e6:.3f} MB"
        lines = [
            f"{self.path}: {self.npu_operators} of {self.operators} operators on the NPU of {self.soc}, in {pieces}; {sizes}"
        ]
        return "\n".join([*lines, *(f"  {count} {kind} on the CPU" for kind, count in self.cpu_operators.items())])


def compile_for_snapdragon(
    path: Path | str, output: Path | str, soc: str = "SM8650", qairt: Path | str | None = None
) -> SnapdragonResult:
    """Compile a file.

    Args:
        path: The file, NAME.tflite: int8, or float32, which the NPU computes in 16 bit.
        output: Folder for the compiled file, NAME_SOC.tflite.
        soc: One of SOCS.
        qairt: Folder of an installed QAIRT; None for the libraries of onnxruntime-qnn.

    Raises:
        HRNetError: The libraries are missing, there is no such SoC, or the file cannot be read.
        CompilerRefusedError: The compiler refuses the file.
    """
    if soc not in SOCS:
        raise HRNetError(f"`soc` must be one of {', '.join(SOCS)}, got {soc!r:.80}")
    source = read_bytes(path, "model")
    check_is_tflite(path, source)
    check_not_compiled(path)
    kinds = Counter(operator.kind for operator in TFLiteGraph(path).operators)
    compiler, litert = _find_compiler()
    libraries = _find_libraries(qairt)
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder, "compiled.tflite")
        searched = (libraries, _stand_in(libraries, Path(folder, "libraries")), litert)
        options = [f"--model={path}", f"--o={compiled}", f"--soc_model={soc}", f"--libs={litert / PLUGIN}"]
        environment = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(map(str, searched))}
        command = [str(compiler), "--cmd=apply", "--soc_manufacturer=Qualcomm", "--err=--", *options]
        process = run_compiler(command, "Qualcomm's compiler", path, TIMEOUT_S, environment)
        log = process.stdout + process.stderr
        if process.returncode or not compiled.is_file():
            raise CompilerRefusedError(
                f"Qualcomm's compiler refused {path}: {failure_reason(log, process.returncode, '^ERROR|^└')}"
            )
        selected = [tuple(map(int, match)) for match in SELECTED.findall(log)]
        remaining = Counter(
            operator.kind for operator in TFLiteGraph(compiled).operators if DISPATCH_OPERATOR not in operator.kind
        )
        npu, partitions = sum(counts[0] for counts in selected), sum(counts[2] for counts in selected)
        target = Path(output, f"{Path(path).stem}_{soc}.tflite")
        data = compiled.read_bytes()
        save_compiled(data, target, path)
    on_cpu = {kind: remaining[kind] for kind in kinds if remaining[kind]}
    return SnapdragonResult(target, soc, npu, partitions, len(source), len(data), on_cpu)


def _find_compiler() -> tuple[Path, Path]:
    """LiteRT's program that applies a compiler plugin, and the folder of LiteRT."""
    location = importlib.util.find_spec("ai_edge_litert")
    folders = [Path(folder) for folder in (location.submodule_search_locations or ())] if location else []
    for folder in folders:
        if (folder / COMPILER).is_file() and (folder / PLUGIN).is_dir() and sys.platform == "linux":
            return folder / COMPILER, folder
    raise MissingToolError(NEEDS_LITERT)


def _find_libraries(qairt: Path | str | None) -> Path:
    """The folder of Qualcomm's libraries."""
    if qairt is not None:
        for folder in QAIRT_FOLDERS:
            if (Path(qairt, folder) / NEEDED).is_file():
                return Path(qairt, folder).absolute()
        raise HRNetError(f"`qairt` {qairt} has no {NEEDED}, neither there nor in {QAIRT_FOLDERS[1]}")
    location = importlib.util.find_spec("onnxruntime_qnn")
    for folder in (location.submodule_search_locations or ()) if location else ():
        if (Path(folder) / NEEDED).is_file():
            return Path(folder)
    raise MissingToolError(NEEDS_QAIRT)


def _stand_in(libraries: Path, folder: Path) -> Path:
    """A folder with a link in the place of the unused library, if that is missing."""
    folder.mkdir()
    if not (libraries / UNUSED).exists():
        (folder / UNUSED).symlink_to(libraries / STAND_IN)
    return folder
