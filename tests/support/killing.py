"""A kill at an exact moment, in this process: before the n-th file gets its name, with what a killed process leaves behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mobile_eval.files


class KilledError(BaseException):
    """No `except Exception` sees it, as no handler sees a SIGKILL."""


def ended_process() -> int:
    """The id of a process that is dead."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    return ended.pid


def as_of_a_killed_process(part: Path) -> Path:
    """The same unfinished file as a process that was killed would have named it."""
    return part.with_name(part.name.replace(f".{os.getpid()}-", f".{DEAD}-"))


DEAD = ended_process()


def kill_before_rename(patch: pytest.MonkeyPatch, which: int | str) -> None:
    """Raise KilledError in place of a rename, by its number (from 1) or the file's name; the unfinished file is left."""
    rename, seen = os.replace, []

    def counted(source: Path, target: Path) -> None:
        seen.append(target)
        if which in (len(seen), Path(target).name):
            source, left = Path(source), as_of_a_killed_process(Path(source))
            if left != source:  # else it is no unfinished file of this process's own
                (shutil.copytree if source.is_dir() else shutil.copy)(source, left)
            mobile_eval.files.remove_stale_parts.cache_clear()  # the next command is another process
            raise KilledError(str(target))
        rename(source, target)

    patch.setattr(mobile_eval.files.os, "replace", counted)
