"""Run the compilers of accelerators, which are programs of their own, and write the files that they make."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.files import write_bytes
from mobile_eval.model.archive import embed_description, is_described, read_description


class MissingToolError(HRNetError):
    """A compiler or library is not installed; the message says how to install it."""


def run_compiler(
    command: Sequence[str], name: str, path: Path | str, timeout_s: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a compiler to its end, whatever its exit code.

    Args:
        command: The command line.
        name: Name of the compiler, for messages.
        path: The file to compile, for messages.
        timeout_s: Time limit in seconds.
        environment: Its environment variables; None for those of this process.

    Raises:
        HRNetError: If the compiler cannot be run, or takes longer.
    """
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise HRNetError(f"{name} did not finish {path} in {timeout_s:.0f} s") from error
    except OSError as error:
        raise HRNetError(f"{name} cannot be run: {error}") from error


def failure_reason(log: str, exit_code: int, pattern: str) -> str:
    """Return the first line of a log that matches `pattern`, else its last line, else the exit code."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(pattern, line)]
    return (errors or lines[-1:] or [f"exit code {exit_code}"])[0]


def save_compiled(flatbuffer: bytes, path: Path, source: Path | str) -> None:
    """Write a compiled file, with the description of the file that it was compiled from: compilers drop it.

    Args:
        flatbuffer: The compiled model.
        path: The file to write.
        source: The file that it was compiled from.
    """
    write_bytes(path, flatbuffer)
    if is_described(source):
        embed_description(path, read_description(source))
