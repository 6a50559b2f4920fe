"""The history of a run: history.csv, one row an epoch."""

from __future__ import annotations

import csv
from pathlib import Path

from mobile_eval.files import write_atomically


def write_history(run: Path, rows: list[dict[str, float]]) -> None:
    """Write history.csv, one row an epoch."""

    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(run / "history.csv", write)


def read_history(run: Path) -> list[dict[str, float]]:
    """The rows of history.csv; none where nothing was trained yet."""
    if not (run / "history.csv").is_file():
        return []
    with (run / "history.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [{**row, "epoch": int(row["epoch"])} for row in rows]
