"""Accuracy against latency as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mobile_eval.errors import HRNetError
from mobile_eval.viz.svg import FILL, INK, MUTED, PAPER, element, line, picture, text, tick_step

WIDTH, HEIGHT = 900.0, 420.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 24.0, 20.0, 52.0
RADIUS, LABEL_SIZE, CHARACTER = 7.0, 12.0, 6.6
CAP = 5.0  # half the width of the ends of an error bar
ARROW = 5.0  # half the height of the arrow where a whisker leaves the picture
MIN_SPAN = 0.05  # of the accuracy axis, so that differences of a thousandth do not look large
MAX_WHISKER = 1.5  # the latency axis reaches at most so far beyond the slowest median, in multiples of it
FRONT_WIDTH = 14.0  # of the line that joins the models of the Pareto front


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
        deviation: Standard deviation of the accuracy, as a vertical bar to both sides; 0 for none.
    """

    label: str
    latency_ms: float
    p90_ms: float
    accuracy: float
    color: str
    square: bool = False
    reference: int | None = None
    deviation: float = 0.0


@dataclass(frozen=True)
class _Axes:
    width: float
    slowest_ms: float
    lowest: float
    highest: float

    @property
    def right(self) -> float:
        return self.width - RIGHT

    def x(self, latency_ms: float) -> float:
        return LEFT + (self.right - LEFT) * latency_ms / self.slowest_ms

    def y(self, accuracy: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.highest - accuracy) / (self.highest - self.lowest)

    def whisker_end(self, point: Point) -> float:
        return min(self.x(point.p90_ms), self.right)


def scatter_svg(points: Sequence[Point], accuracy_name: str, *, front: bool = False, width: float = WIDTH) -> str:
    """Draw accuracy against median latency; whiskers reach the 90th percentile, and end in an arrow where it is far away.

    The latency axis starts at 0, so that ratios are true to scale.

    Args:
        points: The models.
        accuracy_name: Name of the accuracy metric.
        front: Join the models of the Pareto front, those than which none is as fast and as accurate, by a broad line, and draw no
            whiskers.
        width: Width in pixels.

    Returns:
        SVG text.
    """
    if not points:
        raise HRNetError("expected at least one point to draw, got none")
    if front:
        points = [replace(point, p90_ms=point.latency_ms) for point in points]
    slowest = min(max(point.p90_ms for point in points), MAX_WHISKER * max(point.latency_ms for point in points)) * 1.12
    step_x = tick_step(slowest)
    step_y, axes = _axes(points, math.ceil(slowest / step_x) * step_x, width)
    parts = [*_grid(axes, step_x, step_y), *_titles(axes, accuracy_name, "median" if front else "median; whisker to p90")]
    if front:
        parts.append(_front(points, axes))
    for point in points:
        if point.reference is not None:
            reference = points[point.reference]
            ends = (axes.x(reference.latency_ms), axes.y(reference.accuracy), axes.x(point.latency_ms), axes.y(point.accuracy))
            parts.append(line(*ends, MUTED, 1.25, "2 4"))
    parts += [_marker(point, axes) for point in points]
    return picture(width, HEIGHT, parts + _labels(points, axes), f"{accuracy_name} against latency")


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Return the points than which no other is both as fast and as accurate, fastest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.latency_ms, -point.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def _front(points: Sequence[Point], axes: _Axes) -> str:
    places = [(axes.x(point.latency_ms), axes.y(point.accuracy)) for point in pareto_front(points)]
    path = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(places))
    style = {"fill": "none", "stroke": FILL, "stroke-width": FRONT_WIDTH, "stroke-linejoin": "round", "stroke-linecap": "round"}
    return element("path", {"d": path, "class": "front", **style})


def _axes(points: Sequence[Point], slowest_ms: float, width: float) -> tuple[float, _Axes]:
    low, high = min(p.accuracy - p.deviation for p in points), max(p.accuracy + p.deviation for p in points)
    margin = max((high - low) * 0.25, (MIN_SPAN - (high - low)) / 2)
    low, high = max(low - margin, 0.0), min(high + margin, 1.0)
    step_y = tick_step(high - low)
    return step_y, _Axes(width, slowest_ms, math.floor(low / step_y + 1e-9) * step_y, math.ceil(high / step_y - 1e-9) * step_y)


def _grid(axes: _Axes, step_x: float, step_y: float) -> list[str]:
    parts = []
    digits = max(0, 1 - math.floor(math.log10(step_y * 100))) if step_y * 100 < 1 or (step_y * 100) % 1 > 1e-9 else 0
    for index in range(round((axes.highest - axes.lowest) / step_y) + 1):
        value = axes.lowest + index * step_y
        y = axes.y(value)
        parts += [line(LEFT, y, axes.right, y), text(LEFT - 10, y + 4, f"{value * 100:.{digits}f}", anchor="end", color=MUTED)]
    for index in range(round(axes.slowest_ms / step_x) + 1):
        x = axes.x(index * step_x)
        parts += [line(x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5, MUTED)]
        parts.append(text(x, HEIGHT - BOTTOM + 20, f"{index * step_x:g}", anchor="middle", color=MUTED))
    return [*parts, line(LEFT, HEIGHT - BOTTOM, axes.right, HEIGHT - BOTTOM, MUTED)]


def _titles(axes: _Axes, accuracy_name: str, meaning: str) -> list[str]:
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = element(
        "g", {"transform": f"translate(16 {middle:g}) rotate(-90)"}, text(0, 0, f"{accuracy_name}, %", anchor="middle")
    )
    return [text((LEFT + axes.right) / 2, HEIGHT - 10, f"latency, ms ({meaning})", anchor="middle"), turned]


def _marker(point: Point, axes: _Axes) -> str:
    x, y = axes.x(point.latency_ms), axes.y(point.accuracy)
    spread = f" ± {point.deviation * 100:.2f}" if point.deviation else ""
    p90 = f" (p90 {point.p90_ms:.2f})" if point.p90_ms > point.latency_ms else ""
    title = f"{point.label}: {point.latency_ms:.2f} ms{p90}, {point.accuracy * 100:.2f}{spread} %"
    style: dict[str, object] = {"fill": point.color, "stroke": PAPER, "stroke-width": 1.5}
    if point.square:
        side = 2 * RADIUS - 1
        shape = element(
            "rect", {"x": x - side / 2, "y": y - side / 2, "width": side, "height": side, "rx": 2, **style}, title=title
        )
    else:
        shape = element("circle", {"cx": x, "cy": y, "r": RADIUS, **style}, title=title)
    return _whisker(point, axes) + _error_bar(point, axes) + shape


def _error_bar(point: Point, axes: _Axes) -> str:
    if not point.deviation:
        return ""
    x, low, high = axes.x(point.latency_ms), axes.y(point.accuracy - point.deviation), axes.y(point.accuracy + point.deviation)
    ends = [line(x - CAP, y, x + CAP, y, point.color, 2) for y in (low, high)]
    return line(x, low, x, high, point.color, 2) + "".join(ends)


def _whisker(point: Point, axes: _Axes) -> str:
    end, y = axes.whisker_end(point), axes.y(point.accuracy)
    whisker = line(axes.x(point.latency_ms), y, end, y, point.color, 2)
    if axes.x(point.p90_ms) <= axes.right:
        return whisker
    arrow = f"M{end - ARROW:.1f} {y - ARROW:.1f} L{end:.1f} {y:.1f} L{end - ARROW:.1f} {y + ARROW:.1f}"
    return whisker + element("path", {"d": arrow, "fill": "none", "stroke": point.color, "stroke-width": 2})


def _labels(points: Sequence[Point], axes: _Axes) -> list[str]:
    """Put each label at the first free position around its point, with a line if it is far; omit it if none is free."""
    markers = [(axes.x(p.latency_ms), axes.y(p.accuracy)) for p in points]
    occupied = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in markers]
    occupied += [(x, y - 2, axes.whisker_end(p), y + 2) for p, (x, y) in zip(points, markers, strict=True)]
    occupied += [
        (x - CAP, axes.y(p.accuracy + p.deviation), x + CAP, axes.y(p.accuracy - p.deviation))
        for p, (x, y) in zip(points, markers, strict=True)
    ]
    parts = []
    for point, (x, y) in zip(points, markers, strict=True):
        width = CHARACTER * len(point.label)
        positions = [(max(x + 12, axes.whisker_end(point) + 6), y + 4), (x - 12 - width, y + 4)]
        positions += [(x - width / 2, y + sign * 18 + 4) for sign in (-1, 1)]
        near = len(positions)
        positions += [(x - width / 2, y + sign * (18 + 16 * row) + 4) for row in range(1, 6) for sign in (-1, 1)]
        positions += [(x + 30, y + sign * 16 * row + 4) for row in range(1, 12) for sign in (-1, 1)]
        positions += [(x - 30 - width, y + sign * 16 * row + 4) for row in range(1, 12) for sign in (-1, 1)]
        boxes = [(left, base - LABEL_SIZE, left + width, base + 4) for left, base in positions]
        free = [
            index for index, box in enumerate(boxes) if _inside(box, axes) and not any(_overlap(box, other) for other in occupied)
        ]
        if not free:
            continue  # the marker has a tooltip, and reports have a table
        left, top, right, bottom = boxes[free[0]]
        occupied.append((left, top, right, bottom))
        if free[0] >= near:
            parts.append(line(x, y, *_border((left, top, right, bottom), x, y), MUTED, 0.75))
        parts.append(text(left, bottom - 4, point.label, size=LABEL_SIZE, color=INK))
    return parts


def _border(box: tuple[float, float, float, float], x: float, y: float) -> tuple[float, float]:
    """Return where a line from a point to the box of a label ends: at its side, or above or below it."""
    left, top, right, bottom = box
    if left <= x <= right:
        return x, bottom if bottom < y else top
    return left - 3 if left > x else right + 3, (top + bottom) / 2


def _inside(box: tuple[float, float, float, float], axes: _Axes) -> bool:
    return box[0] > LEFT and box[2] < axes.width - 4 and box[1] > 2 and box[3] < HEIGHT - BOTTOM


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
