"""Accuracy against latency as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from mobile_eval.viz.svg import INK, MUTED, PAPER, element, line, picture, text, tick_step

WIDTH, HEIGHT = 900.0, 420.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 24.0, 20.0, 52.0
RADIUS, LABEL_SIZE, CHARACTER = 7.0, 12.0, 6.6
MIN_SPAN = 0.05  # of the accuracy axis, so that differences of a thousandth do not look large


@dataclass(frozen=True)
class Point:
    """A model.

    Args:
        label: Name of the model.
        latency_ms: Median latency.
        p90_ms: 90th percentile of the latency.
        accuracy: Accuracy, 0 to 1.
        color: Color of the marker.
        square: Draw a square, or else a circle.
        reference: Index of the point that this one is compared with; a dotted line joins them.
    """

    label: str
    latency_ms: float
    p90_ms: float
    accuracy: float
    color: str
    square: bool = False
    reference: int | None = None


@dataclass(frozen=True)
class _Axes:
    slowest_ms: float
    lowest: float
    highest: float

    def x(self, latency_ms: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * latency_ms / self.slowest_ms

    def y(self, accuracy: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.highest - accuracy) / (self.highest - self.lowest)


def scatter_svg(points: Sequence[Point], accuracy_name: str) -> str:
    """Draw accuracy against median latency; whiskers reach the 90th percentile.

    The latency axis starts at 0, so that ratios are true to scale.

    Args:
        points: The models.
        accuracy_name: Name of the accuracy metric.

    Returns:
        SVG text.
    """
    if not points:
        raise HRNetError("expected at least one point to draw, got none")
    step_x = tick_step(max(point.p90_ms for point in points) * 1.12)
    step_y, axes = _axes(points, step_x)
    parts = [*_grid(axes, step_x, step_y), *_titles(accuracy_name)]
    for point in points:
        if point.reference is not None:
            reference = points[point.reference]
            ends = (axes.x(reference.latency_ms), axes.y(reference.accuracy), axes.x(point.latency_ms), axes.y(point.accuracy))
            parts.append(line(*ends, MUTED, 1.25, "2 4"))
    parts += [_marker(point, axes) for point in points]
    return picture(WIDTH, HEIGHT, parts + _labels(points, axes), f"{accuracy_name} against latency")


def _axes(points: Sequence[Point], step_x: float) -> tuple[float, _Axes]:
    low, high = min(point.accuracy for point in points), max(point.accuracy for point in points)
    margin = max((high - low) * 0.25, (MIN_SPAN - (high - low)) / 2)
    low, high = max(low - margin, 0.0), min(high + margin, 1.0)
    step_y = tick_step(high - low)
    slowest = math.ceil(max(point.p90_ms for point in points) * 1.12 / step_x) * step_x
    return step_y, _Axes(slowest, math.floor(low / step_y + 1e-9) * step_y, math.ceil(high / step_y - 1e-9) * step_y)


def _grid(axes: _Axes, step_x: float, step_y: float) -> list[str]:
    parts = []
    digits = max(0, 1 - math.floor(math.log10(step_y * 100))) if step_y * 100 < 1 or (step_y * 100) % 1 > 1e-9 else 0
    for index in range(round((axes.highest - axes.lowest) / step_y) + 1):
        value = axes.lowest + index * step_y
        y = axes.y(value)
        parts += [line(LEFT, y, WIDTH - RIGHT, y), text(LEFT - 10, y + 4, f"{value * 100:.{digits}f}", anchor="end", color=MUTED)]
    for index in range(round(axes.slowest_ms / step_x) + 1):
        x = axes.x(index * step_x)
        parts += [line(x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5, MUTED)]
        parts.append(text(x, HEIGHT - BOTTOM + 20, f"{index * step_x:g}", anchor="middle", color=MUTED))
    return [*parts, line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, MUTED)]


def _titles(accuracy_name: str) -> list[str]:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = element(
        "g", {"transform": f"translate(16 {middle:g}) rotate(-90)"}, text(0, 0, f"{accuracy_name}, %", anchor="middle")
    )
    return [text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "latency, ms (median; whisker to p90)", anchor="middle"), turned]


def _marker(point: Point, axes: _Axes) -> str:
    x, y = axes.x(point.latency_ms), axes.y(point.accuracy)
    title = f"{point.label}: {point.latency_ms:.2f} ms (p90 {point.p90_ms:.2f}), {point.accuracy * 100:.2f} %"
    style: dict[str, object] = {"fill": point.color, "stroke": PAPER, "stroke-width": 1.5}
    if point.square:
        side = 2 * RADIUS - 1
        shape = element(
            "rect", {"x": x - side / 2, "y": y - side / 2, "width": side, "height": side, "rx": 2, **style}, title=title
        )
    else:
        shape = element("circle", {"cx": x, "cy": y, "r": RADIUS, **style}, title=title)
    return line(x, y, axes.x(point.p90_ms), y, point.color, 2) + shape


def _labels(points: Sequence[Point], axes: _Axes) -> list[str]:
    """Put each label at the first free position around its point, with a line if it is far; omit it if none is free."""
    markers = [(axes.x(p.latency_ms), axes.y(p.accuracy)) for p in points]
    occupied = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in markers]
    occupied += [(x, y - 2, axes.x(p.p90_ms), y + 2) for p, (x, y) in zip(points, markers, strict=True)]
    parts = []
    for point, (x, y) in zip(points, markers, strict=True):
        width = CHARACTER * len(point.label)
        positions = [(max(x + 12, axes.x(point.p90_ms) + 6), y + 4), (x - 12 - width, y + 4)]
        positions += [(x - width / 2, y + sign * (18 + 16 * row) + 4) for row in range(6) for sign in (-1, 1)]
        near = len(positions)
        positions += [(x + 30, y + sign * 16 * row + 4) for row in range(1, 12) for sign in (-1, 1)]
        boxes = [(left, base - LABEL_SIZE, left + width, base + 4) for left, base in positions]
        free = [index for index, box in enumerate(boxes) if _inside(box) and not any(_overlap(box, other) for other in occupied)]
        if not free:
            continue  # the marker has a tooltip
        left, top, right, bottom = boxes[free[0]]
        occupied.append((left, top, right, bottom))
        if free[0] >= near:
            parts.append(line(x, y, left - 3, (top + bottom) / 2, MUTED, 0.75))
        parts.append(text(left, bottom - 4, point.label, size=LABEL_SIZE, color=INK))
    return parts


def _inside(box: tuple[float, float, float, float]) -> bool:
    return box[0] > LEFT and box[2] < WIDTH - 4 and box[1] > 2 and box[3] < HEIGHT - BOTTOM


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
