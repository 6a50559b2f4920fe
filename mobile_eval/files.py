"""Reading and writing files: writes are atomic, and errors name the file.

A file is written under a hidden temporary name in the same folder, `.NAME.PROCESS-MACHINE.part`, and then renamed. Temporary
files of killed processes are removed by the next process that writes into the folder.
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from mobile_eval.errors import HRNetError
from mobile_eval.typed import Json

AnyPath: TypeAlias = str | os.PathLike[str]

PART = re.compile(r"\..+\.(\d+)-([0-9a-f]{8})\.part(\.\w+)?")


def short_names(paths: Sequence[Path | str]) -> list[str]:
    """Name files or folders as short as they can be told apart: the last part of each path, with as many parents as that takes.

    Raises:
        HRNetError: A path occurs twice.

    Example:
        >>> short_names(["runs/full", "runs/pruned"]), short_names(["a/run", "b/run"])
        (['full', 'pruned'], ['a/run', 'b/run'])
    """
    parts = [Path(path).parts for path in paths]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise HRNetError(f"expected different paths, got {', '.join(map(str, paths))}")


def write_atomically(path: AnyPath, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, then rename it; if writing fails, nothing is left behind.

    A pipe or device, such as /dev/stdout, is written to directly: renaming would replace it by a file.

    Args:
        path: The file; missing folders are made.
        write: Writes the content to the path that it is given.
    """
    path = Path(path)
    if _is_device(path):
        _write_to_device(path, write)
        return
    part = part_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale_parts(path.parent.absolute())
        write(part)
        os.replace(part, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # such as in a read-only folder; the first error is the one to report
            part.unlink()


@contextlib.contextmanager
def complete_folder(path: Path | str) -> Iterator[Path]:
    """Make a temporary folder that becomes `path` if the block succeeds, and is removed if it fails.

    Args:
        path: The folder; it must not exist, or be empty.

    Yields:
        The temporary folder.
    """
    path = Path(path)
    part = part_path(path)
    try:
        part.mkdir(parents=True)
        remove_stale_parts(path.parent.absolute())
        yield part
        os.replace(part, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    except HRNetError as error:  # replace the temporary name by the one that the user knows
        raise HRNetError(str(error).replace(str(part), str(path))) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def part_path(path: Path | str, suffix: str = "") -> Path:
    """Return the temporary path for writing `path`; `suffix` is for writers that choose a format by it."""
    path = Path(path)
    return path.with_name(f".{path.name}.{os.getpid()}-{_machine()}.part{suffix}")


@functools.cache
def remove_stale_parts(folder: Path) -> None:
    """Remove the temporary files of dead processes from a folder; a process looks into each folder once."""
    for entry in list(folder.iterdir()):
        match = PART.fullmatch(entry.name)
        if match and match[2] == _machine() and not _is_alive(int(match[1])):
            _remove(entry)


def remove_all_parts(folder: Path) -> None:
    """Remove all temporary files from a folder and its subfolders; no other process may write there."""
    for entry in list(folder.rglob(".*.part")):
        if PART.fullmatch(entry.name):
            _remove(entry)


def _remove(entry: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@functools.cache
def _machine() -> str:
    """Identify this machine or container: process ids of another one mean other processes."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # no Linux
        namespace = 0
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:8]


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # on Windows signal 0 is no query
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


def _write_to_device(path: Path, write: Callable[[Path], object]) -> None:
    try:
        write(path)
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_bytes(path: AnyPath, data: bytes) -> None:
    """Write bytes atomically."""
    write_atomically(path, lambda part: part.write_bytes(data))


def write_text(path: AnyPath, text: str) -> None:
    """Write text as UTF-8, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: AnyPath, data: Json) -> None:
    """Write JSON atomically; HRNetError for NaN, which JSON does not have."""
    try:
        text = json.dumps(data, indent=1, allow_nan=False)
    except ValueError as error:
        raise HRNetError(f"cannot write {path}: {error}") from error
    write_text(path, f"{text}\n")


def read_bytes(path: Path | str, what: str) -> bytes:
    """Read a file.

    Args:
        path: The file.
        what: What messages call it, such as "image".
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise HRNetError(f"cannot read {what} {path}: {error.strerror or error}") from error


def read_json(path: Path | str, what: str) -> Json:
    """Read a JSON file; HRNetError if it is missing, empty, damaged or nested too deeply.

    Args:
        path: The file.
        what: What messages call it, such as "annotation file".
    """
    return parse_json(read_bytes(path, what), f"{what} {path}")


def parse_json(data: bytes | str, what: str) -> Json:
    """Parse JSON; HRNetError, beginning with `what`, if it is empty, damaged or nested too deeply."""
    if not data.strip():
        raise HRNetError(f"{what} is empty")
    try:
        return json.loads(data)
    except RecursionError:
        raise HRNetError(f"{what} is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise HRNetError(f"{what} is not JSON: {error}") from error


def numbered_rows(text: str, path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV text that are not empty, each with its line number.

    Args:
        text: The text.
        path: The file, for messages.
    """
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
    """Return the SHA-256 of bytes as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def check_output_file(path: AnyPath | None) -> None:
    """Raise HRNetError for an output file that is a folder or cannot be written; call this before long work."""
    if path is None:
        return
    path = Path(path)
    if path.is_dir():
        raise HRNetError(f"cannot write {path}: it is a folder; give the name of a file")
    if not _is_device(path):
        check_writable(path)


def check_output_folder(path: Path | str) -> Path:
    """Make an output folder, and check that it is writable; call this before long work."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HRNetError(f"cannot make the folder {path}: {error.strerror or error}") from error
    check_writable(path / "file", path)
    return path


def check_writable(path: Path, named: Path | None = None) -> None:
    """Raise HRNetError if no file or folder can be made at `path`; the message names `named`, or `path`."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_write(named or path, error) from error
