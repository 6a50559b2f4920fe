"""A simulated kill of this process before the n-th rename, with the partial file of a killed process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mobile_eval.files


class KilledError(BaseException):
    """Simulates a SIGKILL: `except Exception` does not catch it."""


def ended_process() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def path_of_dead_process(part: Path) -> Path:
    """The path of a partial file with the id of a dead process instead of the current one."""
    return part.with_name(part.name.replace(f".{os.getpid()}-", f".{DEAD}-"))


DEAD = ended_process()


def kill_before_rename(patch: pytest.MonkeyPatch, which: int | str) -> None:
    """Raises KilledError instead of a rename, given by its number (from 1) or the file name, and leaves the partial file."""
    rename, targets = os.replace, []

    def interrupted_rename(source: Path, target: Path) -> None:
        targets.append(target)
        if which in (len(targets), Path(target).name):
            source, partial = Path(source), path_of_dead_process(Path(source))
            if partial != source:  # otherwise it is not a partial file of this process
                (shutil.copytree if source.is_dir() else shutil.copy)(source, partial)
            mobile_eval.files.remove_stale_parts.cache_clear()  # as in a new process
            raise KilledError(str(target))
        rename(source, target)

    patch.setattr(mobile_eval.files.os, "replace", interrupted_rename)
