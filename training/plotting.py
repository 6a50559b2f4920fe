"""Training curves of one or several runs as a picture: each column of history.csv over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from hrnet_tf.runs.history import Rows, read_history
from hrnet_tf.runs.run import Run
from mobile_eval.errors import HRNetError
from mobile_eval.files import short_names, write_atomically
from training.optim.trainer_models import DISTILLATION_LOSS

COLUMNS, PANEL_INCHES = 2, (5.2, 3.4)
DPI = 120
MAX_MARKERS = 120  # longer curves have no markers
LOG_SCALE = ("loss", DISTILLATION_LOSS)

Axes: TypeAlias = Any  # of matplotlib
Curve: TypeAlias = list[tuple[float, float]]  # (epoch, value)


def plot_runs(runs: Sequence[Run], output: Path | str) -> Path:
    """Draw the training curves of runs, one panel for each column of their histories (see `panels`).

    Args:
        runs: Trained runs.
        output: PNG file to write.

    Returns:
        The file.

    Raises:
        HRNetError: A run has no history yet, or a run is given twice.
    """
    histories = dict(zip(short_names([run.path for run in runs]), (read_history(run.path) for run in runs), strict=True))
    for run, rows in zip(runs, histories.values(), strict=True):
        if not rows:
            raise HRNetError(f"{run.path} has no history yet: its first epoch was not completed")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn = panels(histories)
    panel_rows, panel_columns = -(-len(drawn) // COLUMNS), min(COLUMNS, len(drawn))
    width, height = PANEL_INCHES
    size = (width * panel_columns, height * panel_rows)
    figure, axes = pyplot.subplots(panel_rows, panel_columns, figsize=size, squeeze=False)
    colors = {name: f"C{number}" for number, name in enumerate(histories)}
    for axis, (title, curves) in zip(axes.flat, drawn.items(), strict=False):
        _draw_panel(axis, title, curves, colors)
    for axis in axes.flat[len(drawn) :]:
        axis.set_visible(False)
    figure.tight_layout()
    picture = Path(output)
    write_atomically(picture, lambda part: figure.savefig(part, format="png", dpi=DPI))
    pyplot.close(figure)
    return picture


def panels(histories: Mapping[str, Rows]) -> dict[str, dict[str, Curve]]:
    """Arrange histories as panels, one for each of their columns.

    The loss of a run that learned from a teacher is without the teacher's share, so the losses of all runs can be compared.

    Args:
        histories: Rows of each run by its name.

    Returns:
        Points (epoch, value) by name of the column and of the run.
    """
    drawn: dict[str, dict[str, Curve]] = {}
    for run, rows in histories.items():
        for column in dict.fromkeys(name for row in rows for name in row if name != "epoch"):
            points = [(row["epoch"], row[column]) for row in rows if not math.isnan(row.get(column, math.nan))]
            if points:
                drawn.setdefault(column, {})[run] = points
    return drawn


def _draw_panel(axis: Axes, title: str, curves: dict[str, Curve], colors: dict[str, str]) -> None:
    for run, points in curves.items():
        axis.plot(*zip(*points, strict=True), label=run, color=colors[run], marker="." if len(points) < MAX_MARKERS else None)
    axis.set_title(title.replace("_", " "))
    axis.set_xlabel("epoch")
    axis.grid(alpha=0.3)
    if title in LOG_SCALE and min(value for points in curves.values() for _, value in points) > 0:
        axis.set_yscale("log")
    if len(colors) > 1:
        axis.legend(fontsize="small")
