"""Reading and writing files: whole or not at all, and errors that name the file."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def write_atomically(path: Path | str, write: Callable[[Path], Any]) -> None:
    """Call `write` with a path beside `path`, then rename; leaves nothing half-written behind where it fails.

    A pipe or device, such as /dev/stdout, is written to as it is: renaming would put a file in its place.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        _write_to_device(path, write)
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        os.replace(beside, path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def _write_to_device(path: Path, write: Callable[[Path], Any]) -> None:
    try:
        write(path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}") from error


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write bytes, whole or not at all."""
    write_atomically(path, lambda beside: beside.write_bytes(data))


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, data: Any) -> None:
    """Write JSON, whole or not at all; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def read_bytes(path: Path | str, what: str) -> bytes:
    """The file's content; ValueError says what could not be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {what} {path}: {error.strerror or error}") from error


def read_json(path: Path | str, what: str) -> Any:
    """Read JSON; ValueError names the file where it is missing, empty, damaged or nested too deeply."""
    return parse_json(read_bytes(path, what), f"{what} {path}")


def parse_json(data: bytes | str, what: str) -> Any:
    """Parse JSON; ValueError, which begins with `what`, where it is empty, damaged or nested too deeply to be parsed."""
    if not data.strip():
        raise ValueError(f"{what} is empty")
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError(f"{what} is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{what} is not JSON: {error}") from error


def numbered_rows(text: str, path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """The rows of CSV that are not empty, each with the number of its line; ValueError names the line that cannot be read."""
    rows = csv.reader(text.splitlines())
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise ValueError(f"{path}, line {rows.line_num}, is not CSV: {error}") from error
        if row is None:
            return
        if row:
            yield rows.line_num, row


def sha256(data: bytes) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def check_output_file(path: Path | str | None) -> None:
    """Refuse an output file that is a folder before the work is done rather than after."""
    if path is not None and Path(path).is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; give the name of a file")


def check_output_folder(path: Path | str) -> Path:
    """Make an output folder before the work is done rather than after."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make the folder {path}: {error.strerror or error}") from error
    return path
