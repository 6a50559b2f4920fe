"""Training curves of one or several runs as a picture: each column of history.csv over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from hrnet_tf.runs.run import Run
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_atomically
from training.engine.history import Rows, read_history

COLUMNS, PANEL_INCHES = 2, (5.2, 3.4)
DPI = 120
MAX_MARKERS = 120  # longer curves have no markers

Axes: TypeAlias = Any  # of matplotlib


def plot_runs(runs: Sequence[Run], output: Path | str) -> Path:
    """Draw the training curves of runs, one panel for each column of their histories.

    Args:
        runs: Trained runs.
        output: PNG file to write.

    Returns:
        The file.

    Raises:
        HRNetError: A run has no history yet.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    histories: dict[str, Rows] = {str(run.path): read_history(run.path) for run in runs}
    for path, rows in histories.items():
        if not rows:
            raise HRNetError(f"{path} has no history yet: its first epoch was not completed")
    names = list(dict.fromkeys(name for rows in histories.values() for row in rows for name in row if name != "epoch"))
    panel_rows = -(-len(names) // COLUMNS)
    width, height = PANEL_INCHES
    size = (width * min(COLUMNS, len(names)), height * panel_rows)
    figure, axes = pyplot.subplots(panel_rows, min(COLUMNS, len(names)), figsize=size, squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        _draw_panel(axis, name, histories)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    figure.tight_layout()
    picture = Path(output)
    write_atomically(picture, lambda part: figure.savefig(part, format="png", dpi=DPI))
    pyplot.close(figure)
    return picture


def _draw_panel(axis: Axes, name: str, histories: dict[str, Rows]) -> None:
    for path, rows in histories.items():
        points = [(row["epoch"], row[name]) for row in rows if name in row]
        if points:
            axis.plot(*zip(*points, strict=True), label=path, marker="." if len(points) < MAX_MARKERS else None)
    axis.set_title(name.replace("_", " "))
    axis.set_xlabel("epoch")
    axis.grid(alpha=0.3)
    if name == "loss" and min(row[name] for rows in histories.values() for row in rows if name in row) > 0:
        axis.set_yscale("log")
    if len(histories) > 1:
        axis.legend(fontsize="small")
