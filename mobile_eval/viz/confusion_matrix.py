"""Confusion matrices as SVG: a row for each true class, a column for each predicted one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobile_eval.metrics.confusion import MAX_LISTED, per_class_recall
from mobile_eval.viz.svg import BLUE, GRID, MUTED, ORANGE, element, picture, text

CELL, LETTER_WIDTH, MARGIN, TOP = 34.0, 7.2, 24.0, 74.0  # pixels
CORRECT_COLOR, WRONG_COLOR = BLUE, ORANGE
MIN_OPACITY, MAX_OPACITY = 0.08, 0.55  # numbers are legible on the darkest cell, in either color scheme


def most_confused(counts: NDArray[np.int64], limit: int = MAX_LISTED) -> list[int]:
    """Choose the classes to show.

    Args:
        counts: Confusion matrix (classes, classes): rows are true classes, columns predicted ones.
        limit: Largest number of classes.

    Returns:
        Indices in increasing order: all classes, or those with the most mistakes.
    """
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return sorted(np.argsort(-mistakes, kind="stable")[:limit].tolist())


def confusion_svg(counts: NDArray[np.int64], classes: Sequence[str], title: str, unit: str) -> str:
    """Draw a confusion matrix.

    A cell's opacity and number are its share of the row, in percent; correct cells are blue. Tooltips give the counts.

    Args:
        counts: Confusion matrix (classes, classes): rows are true classes, columns predicted ones.
        classes: Names of the classes.
        title: Heading.
        unit: What is counted, such as "images".

    Returns:
        SVG text.
    """
    shown = most_confused(counts)
    left = MARGIN + 12 + LETTER_WIDTH * max(len(classes[index]) for index in shown)
    above = TOP + LETTER_WIDTH * max(len(classes[index]) for index in shown) * 0.75
    caption = f"rows: true class; columns: predicted class; percent of the row's {unit}"
    if len(shown) < len(classes):
        caption += f"; the {len(shown)} of {len(classes)} classes with the most mistakes"
    parts = [text(MARGIN, 30, title, size=16, weight=600), text(MARGIN, 50, caption, color=MUTED)]
    totals, recalls = counts.sum(axis=1), per_class_recall(counts)
    for row, index in enumerate(shown):
        y, x = above + CELL * row, left + CELL * row
        parts.append(text(left - 8, y + CELL / 2 + 4, classes[index], anchor="end"))
        turned = {"transform": f"translate({x + CELL / 2 + 4:g} {above - 8:g}) rotate(-50)"}
        parts.append(element("g", turned, text(0, 0, classes[index])))
        recall = "-" if np.isnan(recalls[index]) else f"{recalls[index] * 100:.1f} % of {totals[index]:,}"
        parts.append(text(left + CELL * len(shown) + 10, y + CELL / 2 + 4, recall, size=11, color=MUTED))
        for column, predicted in enumerate(shown):
            label = f"{classes[index]} predicted as {classes[predicted]}"
            count = int(counts[index, predicted])
            parts += _cell(left + CELL * column, y, count, int(totals[index]), label, correct=index == predicted)
    width = max(left + CELL * len(shown) + 150, MARGIN + 6.2 * len(caption))
    return picture(width, above + CELL * len(shown) + MARGIN, parts, f"confusion matrix of {title}")


def _cell(x: float, y: float, count: int, total: int, label: str, *, correct: bool) -> list[str]:
    share = count / total if total else 0.0
    square: dict[str, object] = {"x": x, "y": y, "width": CELL - 2, "height": CELL - 2, "rx": 2}
    if not count:
        return [element("rect", {**square, "fill": GRID, "fill-opacity": 0.5})]
    square |= {"fill": CORRECT_COLOR if correct else WRONG_COLOR, "fill-opacity": max(share * MAX_OPACITY, MIN_OPACITY)}
    number = f"{share * 100:.0f}" if share >= 0.005 else "<1"
    return [
        element("rect", square, title=f"{label}: {count:,} ({share:.1%})"),
        text(x + CELL / 2 - 1, y + CELL / 2 + 3, number, size=11, anchor="middle"),
    ]
