"""Models tried in a process of its own before this one runs them: TFLite runtimes crash on some damaged files.

That process runs each model on random input, by the same code and with the same backend as here. It prints lines of JSON: the
file that is being tried, then the peak memory that was needed or what was wrong.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes, sha256
from mobile_eval.model.description import check_is_tflite
from mobile_eval.runtime.backend import Backend

# Modules in the user's folder must not hide those of the standard library.
PROCESS = (
    "import sys; sys.path = [entry for entry in sys.path if entry]; from mobile_eval.runtime.trial_process import main; main()"
)

_sound: set[tuple[str, Backend]] = set()  # checksums of what this process has tried


def check_sound(paths: Sequence[Path | str], backend: Backend) -> None:
    """Raise HRNetError, naming the file, where the runtime cannot run one of these files or dies of it.

    A description's checksum shows that a file is as it was written, not that the runtime survives it: so each file is tried,
    once for each backend; those that are new are tried together.
    """
    new = {key: path for path in paths if (key := _key(path, backend)) not in _sound}
    if not new:
        return
    try:
        _tried(list(new.values()), backend, invocations=1)
    except OSError as error:  # Python cannot be started again, as in an emulator: the runtime is trusted with the file
        logging.getLogger(__name__).debug("models are not tried in a process of their own: %s", error)
    _sound.update(new)


def run_apart(paths: Sequence[Path | str], backend: Backend, invocations: int = 1) -> list[dict[str, Any]]:
    """Run models so many times in a process of its own; what it reports of each. HRNetError where one fails or crashes."""
    keys = [_key(path, backend) for path in paths]
    try:
        reports = _tried(paths, backend, invocations)
    except OSError as error:
        raise HRNetError(f"cannot start the process that tries {paths[0]}: {error.strerror or error}") from error
    _sound.update(keys)
    return [report for report in reports if "peak_bytes" in report]


def _tried(paths: Sequence[Path | str], backend: Backend, invocations: int) -> list[dict[str, Any]]:
    """All reports of that process; OSError where it cannot be started."""
    package_parent = str(Path(__file__).resolve().parents[2])
    path_entries = os.pathsep.join(filter(None, (package_parent, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path_entries}
    command = [sys.executable, "-c", PROCESS, "--", json.dumps(asdict(backend)), str(invocations), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    reports = [json.loads(line) for line in lines if line.startswith("{")]
    failed = next((report["error"] for report in reports if "error" in report), None)
    if failed is not None:
        raise HRNetError(failed)
    if done.returncode:
        tried = reports[-1]["path"] if reports else paths[0]
        raise HRNetError(_death(tried, done.returncode, done.stderr.decode("utf-8", "replace")))
    return reports


def _key(path: Path | str, backend: Backend) -> tuple[str, Backend]:
    data = read_bytes(path, "model")
    check_is_tflite(path, data)
    return sha256(data), backend


def _death(path: Path | str, code: int, stderr: str) -> str:
    if code == -signal.SIGKILL:
        return f"the process that tries {path} was killed, as systems do when memory runs out"
    if code < 0:
        return f"the TFLite runtime crashed on {path} ({signal.Signals(-code).name}): it is truncated or damaged; copy it again"
    reason = (stderr.strip().splitlines() or [f"exit code {code}"])[-1]
    return f"the process that tries {path} failed: {reason}"
