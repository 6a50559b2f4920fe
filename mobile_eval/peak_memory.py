"""Peak memory of running one model, measured in a process of its own (measuring would disturb the latency).

    python -m mobile_eval.peak_memory M.tflite '{"threads": 1}'

prints JSON: the peak before the model was loaded (Python and the runtime) and after it has run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from mobile_eval.backend import Backend, Delegate

STATUS = Path("/proc/self/status")
INVOCATIONS = 3
TIMEOUT_S = 300


@dataclass(frozen=True)
class PeakMemory:
    """Peak resident memory (VmHWM): of the whole process, and what it was before the model was loaded."""

    peak_bytes: int
    before_loading_bytes: int


def measure_peak_memory(path: Path | str, backend: Backend) -> PeakMemory | None:
    """Run the model in a process of its own; None where the system does not tell (no /proc)."""
    if not STATUS.exists():
        return None
    package_parent = str(Path(__file__).resolve().parent.parent)
    paths = os.pathsep.join(filter(None, (package_parent, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "mobile_eval.peak_memory", str(path), json.dumps(asdict(backend))]
    environment = {**os.environ, "PYTHONPATH": paths}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=True)
        return PeakMemory(**json.loads(done.stdout.splitlines()[-1]))
    except subprocess.CalledProcessError as error:
        if error.returncode < 0:
            raise ValueError(f"the TFLite runtime crashed on {path}: it is truncated or damaged; copy it again") from error
        reason = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        raise ValueError(f"the process that measures the memory of {path} failed: {reason}") from error
    except subprocess.TimeoutExpired:
        raise ValueError(f"the process that measures the memory of {path} took more than {TIMEOUT_S} s") from None


def _peak_bytes() -> int:
    line = next(line for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """The measuring process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("backend", help="its fields, as JSON")
    arguments = parser.parse_args()
    from mobile_eval.latency import feed_random
    from mobile_eval.runtime import find_runtime, make_interpreter

    fields = json.loads(arguments.backend)
    if delegate := fields.get("delegate"):
        fields["delegate"] = Delegate(delegate["library"], tuple(map(tuple, delegate["options"])))
    backend = Backend(**fields)
    find_runtime(backend.runtime)
    before = _peak_bytes()
    interpreter = make_interpreter(arguments.path, backend)
    feed_random(interpreter)
    for _ in range(INVOCATIONS):
        interpreter.invoke()
    print(json.dumps({"peak_bytes": _peak_bytes(), "before_loading_bytes": before}))


if __name__ == "__main__":
    main()
