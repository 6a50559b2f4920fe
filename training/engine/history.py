"""The history of a run: history.csv, one row an epoch."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from mobile_eval.errors import HRNetError
from mobile_eval.files import numbered_rows, read_bytes, write_atomically
from mobile_eval.typed import brief


def write_history(run: Path, rows: list[dict[str, float]]) -> None:
    """Write history.csv, one row an epoch."""

    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(run / "history.csv", write)


def read_history(run: Path) -> list[dict[str, float]]:
    """The rows of history.csv; none where nothing was trained yet. HRNetError names the file and line that is damaged."""
    path = run / "history.csv"
    if not path.is_file():
        return []
    rows = list(numbered_rows(read_bytes(path, "history").decode("utf-8", "replace"), path))
    if not rows:
        return []
    (_, names), *others = rows
    if "epoch" not in names or len(set(names)) < len(names):
        raise HRNetError(f"{path} is damaged: line 1 names the columns {brief(names)}, expected epoch and others, once each")
    return [_row(names, fields, f"{path} is damaged: line {line}") for line, fields in others]


def _row(names: list[str], fields: list[str], where: str) -> dict[str, float]:
    if len(fields) != len(names):
        raise HRNetError(f"{where} has {len(fields)} values, expected {len(names)}")
    row = {}
    for name, field in zip(names, fields, strict=True):
        try:
            row[name] = float(field)
        except ValueError:
            raise HRNetError(f"{where}: {name} is {brief(field)}, expected a number") from None
    if not (math.isfinite(row["epoch"]) and row["epoch"].is_integer()):
        raise HRNetError(f"{where}: epoch is {row['epoch']}, expected an integer")
    return {**row, "epoch": int(row["epoch"])}
