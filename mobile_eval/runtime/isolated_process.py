"""The program of the process that `isolated` starts.

It runs models on random input, and prints a JSON line before and after each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.runtime.backend import Backend, Delegate
from mobile_eval.runtime.interpreter import feed_random, find_runtime, invoke, open_interpreter
from mobile_eval.runtime.isolated import RunReport

STATUS = Path("/proc/self/status")


def peak_bytes() -> int | None:
    """Peak resident memory (VmHWM) of this process; None where the system does not report it (no /proc)."""
    if not STATUS.exists():
        return None
    line = next(line for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Run the models that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("backend", help="The fields of a Backend, as JSON.")
    parser.add_argument("invocations", type=int)
    parser.add_argument("paths", nargs="+")
    arguments = parser.parse_args()
    fields = json.loads(arguments.backend)
    if delegate := fields.pop("delegate"):
        fields["delegate"] = Delegate(delegate["library"], tuple(map(tuple, delegate["options"])))
    _forbid_core_dumps()
    for report in _reports(arguments.paths, Backend(**fields), arguments.invocations):
        print(json.dumps(asdict(report)), flush=True)


def _reports(paths: Sequence[str], backend: Backend, invocations: int) -> Iterator[RunReport]:
    for path in paths:
        yield RunReport(path)
        try:
            find_runtime(backend.runtime)  # imports it: its own memory is not the model's
            before = peak_bytes()
            interpreter = open_interpreter(path, backend)
            feed_random(interpreter)
            for _ in range(invocations):
                invoke(interpreter, path)
            yield RunReport(path, done=True, peak_bytes=peak_bytes(), before_loading_bytes=before)
        except HRNetError as error:
            yield RunReport(path, error=str(error))
        except MemoryError:
            yield RunReport(path, error=f"{path} needs more memory than there is")


def _forbid_core_dumps() -> None:
    """Keep an expected crash from leaving a core file in the user's folder."""
    with contextlib.suppress(ImportError):  # Windows has no such module
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
