"""Profiles as SVG: bars for the parts of the network and the kinds of operators, and a map of its modules."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mobile_eval.benchmark.profile import ProfileResult, grouped_ms
from mobile_eval.viz.svg import BLUE, GRID, MUTED, ORANGE, element, line, picture, text

WIDTH, LEFT, MARGIN = 900.0, 214.0, 24.0
ROW, BAR, CELL, CELL_HEIGHT, HEADING = 24.0, 14.0, 74.0, 34.0, 40.0
PARTS_COLOR, OPERATORS_COLOR = BLUE, ORANGE
MIN_OPACITY, MAX_OPACITY = 0.06, 0.55  # of cells; numbers are legible on the darkest, in either color scheme
BRANCH_PART = re.compile(r"stage(\d+)_module(\d+)_branch(\d+)_block\d+")
EXCHANGE_PART = re.compile(r"stage(\d+)_module(\d+)_(?:link\d+to\d+|fuse\d+)")


def profile_svg(result: ProfileResult) -> str:
    """Draw a profile as SVG text; the map is omitted if the layers do not have the names of an HRNet."""
    y = 30.0
    parts = [text(MARGIN, y, f"{result.model}: {result.measured_ms:.2f} ms", size=16, weight=600)]
    about = f"{result.runtime}, {result.threads} thread{'s' if result.threads > 1 else ''}, {result.environment.processor}"
    parts.append(text(MARGIN, y + 20, about, color=MUTED))
    y += HEADING
    for title, times, color in (
        ("by part of the network", grouped_ms(result), PARTS_COLOR),
        ("by operator", result.kinds_ms(), OPERATORS_COLOR),
    ):
        bars, y = _bars(title, times, result.sum_ms, color, y)
        parts += bars
    cells, y = _map(result.parts_ms(), y)
    parts += cells
    caption = f"Sum {result.sum_ms:.2f} ms, {result.sum_ms / result.measured_ms:.2f} of the measured total ({result.method})."
    parts.append(text(MARGIN, y + 10, caption, color=MUTED))
    return picture(WIDTH, y + 26, parts, f"profile of {result.model}")


def _bars(title: str, times: Mapping[str, float], total: float, color: str, y: float) -> tuple[list[str], float]:
    parts = [text(MARGIN, y + 18, title, size=13, weight=600)]
    y += 30
    longest = max(times.values())
    for name, ms in times.items():
        width = max((WIDTH - LEFT - 150) * ms / longest, 1.0)
        bar = {"x": LEFT, "y": y, "width": width, "height": BAR, "rx": 2, "fill": color}
        parts.append(text(LEFT - 10, y + 11, name, anchor="end"))
        parts.append(element("rect", bar, title=f"{name}: {ms:.4f} ms, {ms / total:.1%}"))
        parts.append(text(LEFT + width + 8, y + 11, f"{ms:.3f} ms  {ms / total:.1%}", size=11, color=MUTED))
        y += ROW
    return parts, y + 10


def _map(times: Mapping[str, float], y: float) -> tuple[list[str], float]:
    """Draw a cell for each branch of each module, and one for its exchange unit (links and sums)."""
    cells: dict[tuple[tuple[int, int], int | None], float] = {}
    for part, ms in times.items():
        branch, exchange = BRANCH_PART.fullmatch(part), EXCHANGE_PART.fullmatch(part)
        if match := branch or exchange:
            key = (int(match[1]), int(match[2])), int(match[3]) if branch else None
            cells[key] = cells.get(key, 0.0) + ms
    if not cells:
        return [], y
    modules = sorted({module for module, _ in cells})
    rows: list[int | None] = [*sorted({row for _, row in cells if row is not None}), None]
    cell, longest = min(CELL, (WIDTH - LEFT - MARGIN) / len(modules)), max(cells.values())
    parts = [text(MARGIN, y + 18, "by module, in ms", size=13, weight=600)]
    y += 48
    for column, (stage, module) in enumerate(modules):
        x = LEFT + cell * column
        if column and modules[column - 1][0] != stage:
            parts.append(line(x - 2, y - 26, x - 2, y + CELL_HEIGHT * len(rows), GRID, 2))
        parts.append(text(x + cell / 2, y - 8, f"{stage}.{module}", anchor="middle", color=MUTED))
        for number, row in enumerate(rows):
            if ((stage, module), row) not in cells:
                continue
            ms = cells[(stage, module), row]
            top = y + CELL_HEIGHT * number
            shade: dict[str, object] = {"x": x, "y": top, "width": cell - 4, "height": CELL_HEIGHT - 4, "rx": 3}
            shade |= {"fill": PARTS_COLOR, "fill-opacity": max(ms / longest * MAX_OPACITY, MIN_OPACITY)}
            parts.append(element("rect", shade, title=f"stage {stage}, module {module}, {_row_name(row)}: {ms:.4f} ms"))
            parts.append(text(x + cell / 2 - 2, top + 19, f"{ms:.3g}", anchor="middle", size=11))
    for number, row in enumerate(rows):
        parts.append(text(LEFT - 10, y + CELL_HEIGHT * number + 19, _row_name(row), anchor="end"))
    return parts, y + CELL_HEIGHT * len(rows) + 16


def _row_name(branch: int | None) -> str:
    return "links and sums" if branch is None else f"branch {branch}"
