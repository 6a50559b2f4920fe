"""The process that `trial` starts: it runs models on random input, and prints a line of JSON before and after each."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mobile_eval.errors import HRNetError
from mobile_eval.runtime.backend import Backend, Delegate
from mobile_eval.runtime.interpreter import find_runtime, invoke, open_interpreter
from mobile_eval.runtime.random_input import feed_random

STATUS = Path("/proc/self/status")


def peak_bytes() -> int | None:
    """Peak resident memory (VmHWM) of this process; None where the system does not tell (no /proc)."""
    if not STATUS.exists():
        return None
    line = next(line for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """The process that tries models."""
    parser = argparse.ArgumentParser()
    parser.add_argument("backend", help="its fields, as JSON")
    parser.add_argument("invocations", type=int)
    parser.add_argument("paths", nargs="+")
    arguments = parser.parse_args()
    fields = json.loads(arguments.backend)
    if delegate := fields.get("delegate"):
        fields["delegate"] = Delegate(delegate["library"], tuple(map(tuple, delegate["options"])))
    _forbid_core_dumps()
    for report in _reports(arguments.paths, Backend(**fields), arguments.invocations):
        print(json.dumps(report), flush=True)


def _reports(paths: Sequence[str], backend: Backend, invocations: int) -> Iterator[dict[str, Any]]:
    for path in paths:
        yield {"path": path}
        try:
            find_runtime(backend.runtime)  # importing it is no part of loading the model
            before = peak_bytes()
            interpreter = open_interpreter(path, backend)
            feed_random(interpreter)
            for _ in range(invocations):
                invoke(interpreter, path)
            yield {"peak_bytes": peak_bytes(), "before_loading_bytes": before}
        except HRNetError as error:
            yield {"error": str(error)}
        except MemoryError:
            yield {"error": f"{path} needs more memory than there is"}


def _forbid_core_dumps() -> None:
    """A crash is expected here, and must not leave a core file in the user's folder."""
    with contextlib.suppress(ImportError):  # there is no such module on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
