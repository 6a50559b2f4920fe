"""Reading and writing files: complete or not at all, and errors that name the file.

A file is written under a hidden name beside its own, `.NAME.PROCESS-MACHINE.part`, and then renamed. What a killed process left
is removed by the next one that writes into the folder.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mobile_eval.errors import HRNetError

PART = re.compile(r"\..+\.(\d+)-([0-9a-f]{8})\.part(\.\w+)?")


def write_atomically(path: Path | str, write: Callable[[Path], Any]) -> None:
    """Call `write` with a path beside `path`, then rename; leaves nothing half-written behind where it fails.

    A pipe or device, such as /dev/stdout, is written to as it is: renaming would put a file in its place.
    """
    path = Path(path)
    if _is_device(path):
        _write_to_device(path, write)
        return
    beside = part_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale_parts(path.parent.absolute())
        write(beside)
        os.replace(beside, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # a read-only folder refuses this too; the reason is the first error's
            beside.unlink()


@contextlib.contextmanager
def complete_folder(path: Path | str) -> Iterator[Path]:
    """A folder to fill; it becomes `path` (new, or an empty folder) if the block succeeds, and is removed if it does not."""
    path = Path(path)
    beside = part_path(path)
    try:
        beside.mkdir(parents=True)
        remove_stale_parts(path.parent.absolute())
        yield beside
        os.replace(beside, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    except HRNetError as error:  # of a file in it: named as the user knows it
        raise HRNetError(str(error).replace(str(beside), str(path))) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def part_path(path: Path | str, suffix: str = "") -> Path:
    """The hidden path under which this process writes `path`; `suffix` is for writers that choose a format by it."""
    path = Path(path)
    return path.with_name(f".{path.name}.{os.getpid()}-{_machine()}.part{suffix}")


@functools.cache
def remove_stale_parts(folder: Path) -> None:
    """Remove what processes that have died left unfinished in `folder`; a process looks into each folder once."""
    for entry in list(folder.iterdir()):
        match = PART.fullmatch(entry.name)
        if match and match[2] == _machine() and not _is_alive(int(match[1])):
            _remove(entry)


def remove_all_parts(folder: Path) -> None:
    """Remove every unfinished file in `folder` and the folders in it, where no other process writes."""
    for entry in list(folder.rglob(".*.part")):
        if PART.fullmatch(entry.name):
            _remove(entry)


def _remove(entry: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@functools.cache
def _machine() -> str:
    """Where process ids are this process's own: in other machines and containers they are of others."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # no Linux
        namespace = 0
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:8]


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 is not a question
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _cannot_write(path: Path, error: OSError) -> HRNetError:
    return HRNetError(f"cannot write {path}: {error.strerror or error}")


def _write_to_device(path: Path, write: Callable[[Path], Any]) -> None:
    try:
        write(path)
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write bytes, complete or not at all."""
    write_atomically(path, lambda beside: beside.write_bytes(data))


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, complete or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, data: Any) -> None:
    """Write JSON, complete or not at all; NaN is refused, since JSON has none."""
    try:
        text = json.dumps(data, indent=1, allow_nan=False)
    except ValueError as error:
        raise HRNetError(f"cannot write {path}: {error}") from error
    write_text(path, f"{text}\n")


def read_bytes(path: Path | str, what: str) -> bytes:
    """The file's content; HRNetError says what could not be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise HRNetError(f"cannot read {what} {path}: {error.strerror or error}") from error


def read_json(path: Path | str, what: str) -> Any:
    """Read JSON; HRNetError names the file where it is missing, empty, damaged or nested too deeply."""
    return parse_json(read_bytes(path, what), f"{what} {path}")


def parse_json(data: bytes | str, what: str) -> Any:
    """Parse JSON; HRNetError, which begins with `what`, where it is empty, damaged or nested too deeply to be parsed."""
    if not data.strip():
        raise HRNetError(f"{what} is empty")
    try:
        return json.loads(data)
    except RecursionError:
        raise HRNetError(f"{what} is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise HRNetError(f"{what} is not JSON: {error}") from error


def numbered_rows(text: str, path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """The rows of CSV that are not empty, each with the number of its line; HRNetError names the line that cannot be read."""
    rows = csv.reader(text.splitlines())
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise HRNetError(f"{path}, line {rows.line_num}, is not CSV: {error}") from error
        if row is None:
            return
        if row:
            yield rows.line_num, row


def sha256(data: bytes) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def check_output_file(path: Path | str | None) -> None:
    """Refuse an output file that is a folder, or cannot be written, before the work is done rather than after."""
    if path is None:
        return
    path = Path(path)
    if path.is_dir():
        raise HRNetError(f"cannot write {path}: it is a folder; give the name of a file")
    if not _is_device(path):
        check_writable(path)


def check_output_folder(path: Path | str) -> Path:
    """Make an output folder before the work is done rather than after."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HRNetError(f"cannot make the folder {path}: {error.strerror or error}") from error
    check_writable(path / "file", path)
    return path


def check_writable(path: Path, named: Path | None = None) -> None:
    """Refuse a new file or folder at `path` where the file system does; the message names `named`, or `path`."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_write(named or path, error) from error
