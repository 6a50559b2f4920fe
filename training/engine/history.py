"""The history of a run: history.csv, with one row per epoch."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from mobile_eval.errors import HRNetError
from mobile_eval.files import numbered_rows, read_bytes, write_atomically
from mobile_eval.typed import brief

HISTORY = "history.csv"

Rows: TypeAlias = Sequence[dict[str, float]]


def write_history(run: Path, rows: Rows) -> None:
    """Write history.csv into the folder of a run, with the columns of all rows; what a row lacks is NaN."""
    names = list(dict.fromkeys(name for row in rows for name in row))

    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names, restval=math.nan)
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(run / HISTORY, write)


def read_history(run: Path) -> list[dict[str, float]]:
    """Return the rows of history.csv; none before the first epoch. HRNetError names the line that is damaged."""
    path = run / HISTORY
    if not path.is_file():
        return []
    rows = list(numbered_rows(read_bytes(path, "history").decode("utf-8", "replace"), path))
    if not rows:
        return []
    (_, names), *epochs = rows
    if "epoch" not in names or len(set(names)) < len(names):
        raise HRNetError(f"{path} is damaged: line 1 names the columns {brief(names)}, expected epoch and others, once each")
    return [_row(names, fields, f"{path} is damaged: line {line}") for line, fields in epochs]


def _row(names: list[str], fields: list[str], place: str) -> dict[str, float]:
    if len(fields) != len(names):
        raise HRNetError(f"{place} has {len(fields)} values, expected {len(names)}")
    row = {}
    for name, field in zip(names, fields, strict=True):
        try:
            row[name] = float(field)
        except ValueError:
            raise HRNetError(f"{place}: {name} is {brief(field)}, expected a number") from None
    if not (math.isfinite(row["epoch"]) and row["epoch"].is_integer()):
        raise HRNetError(f"{place}: epoch is {row['epoch']}, expected an integer")
    return {**row, "epoch": int(row["epoch"])}
