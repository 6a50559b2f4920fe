"""Curves of one or several runs as a picture: each figure of history.csv over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hrnet_tf.runs.run import Run
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_atomically
from training.engine.history import read_history

COLUMNS, PANEL_INCHES = 2, (5.2, 3.4)
DPI = 120


def plot_runs(runs: Sequence[Run], output: Path | str) -> Path:
    """Draw the histories of `runs`, one panel a figure, into the PNG file `output`; HRNetError where none was trained."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    histories = {str(run.path): read_history(run.path) for run in runs}
    for path, rows in histories.items():
        if not rows:
            raise HRNetError(f"{path} has no history yet: it was not trained to its first epoch")
    names = list(dict.fromkeys(name for rows in histories.values() for row in rows for name in row if name != "epoch"))
    rows_of_panels = -(-len(names) // COLUMNS)
    width, height = PANEL_INCHES
    size = (width * min(COLUMNS, len(names)), height * rows_of_panels)
    figure, axes = pyplot.subplots(rows_of_panels, min(COLUMNS, len(names)), figsize=size, squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        _panel(axis, name, histories)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    figure.tight_layout()
    picture = Path(output)
    write_atomically(picture, lambda beside: figure.savefig(beside, format="png", dpi=DPI))
    pyplot.close(figure)
    return picture


def _panel(axis: Any, name: str, histories: dict[str, list[dict[str, float]]]) -> None:
    for path, rows in histories.items():
        met = [(row["epoch"], row[name]) for row in rows if name in row]
        if met:
            axis.plot(*zip(*met, strict=True), label=path, marker="." if len(met) < DPI else None)
    axis.set_title(name.replace("_", " "))
    axis.set_xlabel("epoch")
    axis.grid(alpha=0.3)
    if name == "loss" and min(row[name] for rows in histories.values() for row in rows if name in row) > 0:
        axis.set_yscale("log")
    if len(histories) > 1:
        axis.legend(fontsize="small")
