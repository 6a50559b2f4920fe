"""Run models in another process before this one does: TFLite runtimes crash on some damaged files.

The other process (`isolated_process`) runs each model on random input, with the same code and backend as this one. It prints JSON
lines: the file that comes next, then its peak memory or what was wrong with it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes, sha256
from mobile_eval.model.archive import check_is_tflite
from mobile_eval.runtime.backend import Backend

# Modules in the user's folder must not hide those of the standard library.
PROGRAM = (
    "import sys; sys.path = [entry for entry in sys.path if entry]; from mobile_eval.runtime.isolated_process import main; main()"
)

_checked: set[tuple[str, Backend]] = set()  # checksums of the files that this process has checked


@dataclass(frozen=True)
class RunReport:
    """A line of the other process: first the `path` alone, then either the memory or the `error`.

    Memory is the peak resident memory (VmHWM) of the process; None where the system does not report it.
    """

    path: str
    error: str | None = None
    done: bool = False
    peak_bytes: int | None = None
    before_loading_bytes: int | None = None


def check_runs(paths: Sequence[Path | str], backend: Backend) -> None:
    """Check that the runtime can run these files, each once per backend; new files share one process.

    The checksum of a description shows that a file is as it was written, but not that the runtime survives it.

    Raises:
        HRNetError: The runtime fails or crashes on a file. The message names the file.
    """
    new = {key: path for path in paths if (key := _key(path, backend)) not in _checked}
    if not new:
        return
    try:
        _run_process(list(new.values()), backend, invocations=1)
    except OSError as error:  # Python cannot be started again, for example in an emulator: trust the files
        logging.getLogger(__name__).debug("models are not run in another process first: %s", error)
    _checked.update(new)


def run_isolated(paths: Sequence[Path | str], backend: Backend, invocations: int = 1) -> list[RunReport]:
    """Run each file in another process.

    Args:
        paths: The files.
        backend: Runtime, threads and delegate.
        invocations: Number of runs of each file.

    Returns:
        A report per file.

    Raises:
        HRNetError: The process does not start, or the runtime fails or crashes on a file.
    """
    keys = [_key(path, backend) for path in paths]
    try:
        reports = _run_process(paths, backend, invocations)
    except OSError as error:
        raise HRNetError(f"cannot start the process that runs {paths[0]}: {error.strerror or error}") from error
    _checked.update(keys)
    return [report for report in reports if report.done]


def _run_process(paths: Sequence[Path | str], backend: Backend, invocations: int) -> list[RunReport]:
    """All reports of the process; OSError where it does not start."""
    package_parent = str(Path(__file__).resolve().parents[2])
    path_entries = os.pathsep.join(filter(None, (package_parent, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path_entries}
    command = [sys.executable, "-c", PROGRAM, "--", json.dumps(asdict(backend)), str(invocations), *map(str, paths)]
    ended = subprocess.run(command, capture_output=True, env=environment, check=False)
    lines = ended.stdout.decode("utf-8", "replace").splitlines()
    reports = [RunReport(**json.loads(line)) for line in lines if line.startswith("{")]
    error = next((report.error for report in reports if report.error is not None), None)
    if error is not None:
        raise HRNetError(error)
    if ended.returncode:
        path = reports[-1].path if reports else paths[0]
        raise HRNetError(_reason(path, ended.returncode, ended.stderr.decode("utf-8", "replace")))
    return reports


def _key(path: Path | str, backend: Backend) -> tuple[str, Backend]:
    data = read_bytes(path, "model")
    check_is_tflite(path, data)
    return sha256(data), backend


def _reason(path: Path | str, code: int, stderr: str) -> str:
    """Why the process died while it ran the model at `path`."""
    if code == -signal.SIGKILL:
        return f"the process that runs {path} was killed, probably because memory ran out"
    if code < 0:
        return f"the TFLite runtime crashed on {path} ({signal.Signals(-code).name}): it is truncated or damaged; copy it again"
    last_line = (stderr.strip().splitlines() or [f"exit code {code}"])[-1]
    return f"the process that runs {path} failed: {last_line}"
