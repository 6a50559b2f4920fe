"""What was taken for what, as a picture: a row for each true class, a column for each that was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobile_eval.metrics.confusion import MAX_LISTED, per_class_recall
from mobile_eval.viz.svg import GRID, INK, MUTED, element, picture, text

CELL, NAME, MARGIN, TOP = 34.0, 7.2, 24.0, 74.0  # NAME: width of a letter
RIGHT_COLOR, WRONG_COLOR = "#2458d3", "#c2570c"
FAINTEST = 0.08
LEGIBLE = 0.65  # on a darker cell letters are white


def most_confused(counts: NDArray[np.int64], most: int = MAX_LISTED) -> list[int]:
    """Indices of the classes to show, in their order: all, or of very many those that most mistakes were made about."""
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return sorted(np.argsort(-mistakes, kind="stable")[:most].tolist())


def confusion_svg(counts: NDArray[np.int64], classes: Sequence[str], title: str, unit: str) -> str:
    """`counts` (classes, classes), how many `unit` of each class were taken for each, as SVG text.

    A cell's shade and number are its share of the row in percent, blue where it is right; its tooltip says how many.
    """
    shown = most_confused(counts)
    left = MARGIN + 12 + NAME * max(len(classes[index]) for index in shown)
    above = TOP + NAME * max(len(classes[index]) for index in shown) * 0.75
    told = f"rows: what it is; columns: what it was taken for; percent of the row's {unit}"
    if len(shown) < len(classes):
        told += f"; the {len(shown)} of {len(classes)} classes that most mistakes are about"
    parts = [text(MARGIN, 30, title, size=16, weight=600), text(MARGIN, 50, told, color=MUTED)]
    totals, recalls = counts.sum(axis=1), per_class_recall(counts)
    for place, index in enumerate(shown):
        y, x = above + CELL * place, left + CELL * place
        parts.append(text(left - 8, y + CELL / 2 + 4, classes[index], anchor="end"))
        turned: dict[str, object] = {"transform": f"translate({x + CELL / 2 + 4:g} {above - 8:g}) rotate(-50)"}
        parts.append(element("g", turned, text(0, 0, classes[index])))
        recall = "-" if np.isnan(recalls[index]) else f"{recalls[index] * 100:.1f} % of {totals[index]:,}"
        parts.append(text(left + CELL * len(shown) + 10, y + CELL / 2 + 4, recall, size=11, color=MUTED))
        for column, other in enumerate(shown):
            said = f"{classes[index]} taken for {classes[other]}"
            parts += _cell(left + CELL * column, y, int(counts[index, other]), int(totals[index]), said, right=index == other)
    width = max(left + CELL * len(shown) + 150, MARGIN + 6.2 * len(told))
    return picture(width, above + CELL * len(shown) + MARGIN, parts, f"confusion matrix of {title}")


def _cell(x: float, y: float, count: int, total: int, said: str, *, right: bool) -> list[str]:
    share = count / total if total else 0.0
    square: dict[str, object] = {"x": x, "y": y, "width": CELL - 2, "height": CELL - 2, "rx": 2}
    if not count:
        return [element("rect", {**square, "fill": GRID, "fill-opacity": 0.5})]
    square |= {"fill": RIGHT_COLOR if right else WRONG_COLOR, "fill-opacity": max(share, FAINTEST)}
    number = f"{share * 100:.0f}" if share >= 0.005 else "<1"
    color = "#ffffff" if share > LEGIBLE else INK
    return [
        element("rect", square, title=f"{said}: {count:,} ({share:.1%})"),
        text(x + CELL / 2 - 1, y + CELL / 2 + 3, number, size=11, anchor="middle", color=color),
    ]
