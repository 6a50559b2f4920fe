"""Peak memory of running one model, measured in a process of its own (measuring would disturb the latency)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.isolated import run_isolated
from mobile_eval.runtime.isolated_process import STATUS

INVOCATIONS = 3


@dataclass(frozen=True)
class PeakMemory:
    """Peak resident memory (VmHWM): of the whole process, and what it was before the model was loaded."""

    peak_bytes: int
    before_loading_bytes: int


def measure_peak_memory(path: Path | str, backend: Backend) -> PeakMemory | None:
    """Run the model in a process of its own; None where the system does not tell (no /proc)."""
    if not STATUS.exists():
        return None
    [report] = run_isolated([path], backend, INVOCATIONS)
    if report.peak_bytes is None or report.before_loading_bytes is None:
        return None
    return PeakMemory(report.peak_bytes, report.before_loading_bytes)
