"""Run a `.tflite` by Intel's OpenVINO, which reads the same file and compiles it for the processor."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from conversion.targets.compiler import MissingToolError, failure_reason
from conversion.targets.exchange import agreement, largest_difference, run_module, run_reference
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes
from mobile_eval.model.archive import check_is_tflite, check_not_compiled

NEEDS_OPENVINO = "running by OpenVINO needs its library: `pip install 'hrnet-tf[openvino]'`"
MODULE = "conversion.targets.openvino_process"
ERROR_PATTERN = r"(?i)exception|error|not supported|failed"


@dataclass(frozen=True)
class OpenVINOResult:
    """How a file runs by OpenVINO.

    Attributes:
        path: The file.
        version: Version of OpenVINO.
        p50_ms: Median latency, in milliseconds.
        threads: Number of threads.
        largest_difference: Largest difference of an output value, as stored, from TFLite's reference kernels on random input.
    """

    path: Path
    version: str
    p50_ms: float
    threads: int
    largest_difference: float

    def __str__(self) -> str:
        return f"{self.path.name}: OpenVINO {self.version}, {self.p50_ms:.2f} ms; {agreement(self.largest_difference)}"


def run_openvino(path: Path | str, threads: int = 1, runs: int = 20) -> OpenVINOResult:
    """Run a file by OpenVINO on this machine's processor, and compare its outputs with those of TFLite's reference kernels.

    Args:
        path: The file.
        threads: Number of CPU threads.
        runs: Number of timed runs, after two that are not.

    Raises:
        MissingToolError: OpenVINO is not installed.
        HRNetError: The file is damaged or was compiled for an accelerator, or OpenVINO cannot run it.
    """
    check_is_tflite(path, read_bytes(path, "model")[:8])
    check_not_compiled(path)
    if importlib.util.find_spec("openvino") is None:
        raise MissingToolError(NEEDS_OPENVINO)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = run_reference(path, folder)
        process = run_module(MODULE, (Path(path).absolute(), folder, threads, runs), "OpenVINO", path)
        if process.returncode:
            reason = failure_reason(process.stderr, process.returncode, ERROR_PATTERN)
            raise HRNetError(f"OpenVINO cannot run {path}: {reason}")
        measured = json.loads(process.stdout.splitlines()[-1])
        difference = largest_difference(reference, folder)
    return OpenVINOResult(Path(path), measured["version"], measured["p50_ms"], threads, difference)
