"""The history of a run: history.csv, with one row per epoch."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from mobile_eval.errors import HRNetError
from mobile_eval.files import numbered_rows, read_bytes, write_atomically
from mobile_eval.tables import DataFrame, data_frame, text_table
from mobile_eval.typed import brief

HISTORY = "history.csv"

Row: TypeAlias = dict[str, float]  # "epoch" from 1, "loss", the metrics; NaN for what an epoch lacks
Rows: TypeAlias = Sequence[Row]


@dataclass(frozen=True)
class History:
    """The epochs of a training, one row for each. Indexing and iterating give the rows.

    Attributes:
        rows: Values of each epoch by name: "epoch" from 1, "loss", the metrics.

    Example:
        >>> history = History(({"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}))
        >>> history[-1]["loss"], history.column("loss")
        (0.25, [0.5, 0.25])
        >>> print(history)
        epoch  loss
            1   0.5
            2  0.25
    """

    rows: tuple[Row, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    @property
    def columns(self) -> list[str]:
        """Names of the values."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def column(self, name: str) -> list[float]:
        """Return a value of each epoch.

        Args:
            name: Name of the value, such as "val_loss".

        Raises:
            HRNetError: No epoch has such a value.
        """
        if name not in self.columns:
            names = f"there are {', '.join(self.columns)}" if self.rows else "no epoch is finished"
            raise HRNetError(f"the history has no `name` {name!r}: {names}")
        return [row.get(name, math.nan) for row in self.rows]

    def __str__(self) -> str:
        if not self.rows:
            return "no epoch is finished"
        return text_table(self.columns, [[f"{row.get(name, math.nan):.4g}" for name in self.columns] for row in self.rows])

    def to_json(self) -> list[Row]:
        """Return the rows as plain data."""
        return [dict(row) for row in self.rows]

    def to_pandas(self) -> DataFrame:
        """Return a data frame with a row for each epoch. Raises HRNetError if pandas is not installed."""
        return data_frame(self.rows)


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
