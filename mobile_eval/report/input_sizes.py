"""Charts of accuracy and cost against input size, as in figure 6 of the HRNet pose paper (arXiv 1902.09212)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from mobile_eval.report.results import ComparedModel
from mobile_eval.viz.svg import INK, MUTED, PALETTE, PAPER, element, line, picture, text, tick_step

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM = 460.0, 300.0, 64.0, 24.0, 52.0
LEGEND_WIDTH, LEGEND_ROW, SYMBOL, MARGIN = 230.0, 20.0, 34.0, 12.0
RADIUS = 4.5
MIN_SPAN = 0.05  # smallest range of the accuracy axis, so that differences of a thousandth look small
DASHES = {"float32": None, "int8": "5 3"}
OTHER_DASH = "1 3"
SIZE_IN_NAME = re.compile(r"[-_ ]?\d+x\d+(?![a-z0-9])")


@dataclass(frozen=True)
class SizePoint:
    """One model: its input size (height, width), its score (0 to 1) and its cost."""

    size: tuple[int, int]
    score: float
    multiply_adds: int
    p50_ms: float


@dataclass(frozen=True)
class SizeLine:
    """One network at several input sizes, smallest first; `precision` is "" where the precision makes no difference."""

    network: str
    precision: str
    points: tuple[SizePoint, ...]

    @property
    def name(self) -> str:
        """Name in the legend."""
        return f"{self.network}, {self.precision}" if self.precision else self.network


def input_sizes(models: Sequence[ComparedModel]) -> list[tuple[int, int]]:
    """The different input sizes (height, width) of models, smallest first."""
    return sorted({model.description.input.size for model in models}, key=_area)


def size_lines(models: Sequence[ComparedModel]) -> list[SizeLine]:
    """Group models into lines: models of the same name, precision and connectivity (full or pruned) are one network.

    A second model of the same size begins another line, so that a line has one point at each size.
    """
    lines: dict[tuple[str, str], dict[tuple[int, int], SizePoint]] = {}
    for model in models:
        description = model.description
        size = description.input.size
        network, number = network_name(model), 1
        key = (network, description.precision)
        while size in lines.get(key, ()):
            number += 1
            key = (f"{network} ({number})", description.precision)
        point = SizePoint(size, model.measurement.score, description.multiply_adds, model.latency.p50_ms)
        lines.setdefault(key, {})[size] = point
    return [SizeLine(*key, _ordered(points)) for key, points in lines.items()]


def network_name(model: ComparedModel) -> str:
    """Name of a model's network without its input size, and whether links were removed."""
    name = SIZE_IN_NAME.sub("", model.description.name) or model.description.name
    return f"{name}, pruned" if model.links_kept < model.links_possible else name


def accuracy_by_size_svg(lines: Sequence[SizeLine], accuracy_name: str) -> str:
    """Chart (SVG) of the metric against input size. Sizes are evenly spaced, as in the paper."""
    scores = [point.score for size_line in _not_empty(lines) for point in size_line.points]
    margin = max((max(scores) - min(scores)) * 0.1, (MIN_SPAN - (max(scores) - min(scores))) / 2)
    low, high = max(min(scores) - margin, 0.0), max(scores) + margin
    step = tick_step(high - low)
    ends = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    columns = 2 if len(lines) > 1 else 1
    legend, top = _legend(lines, columns)
    panel = _Panel(0.0, top, 2 * WIDTH, _sizes(lines), *ends, step, 100.0)
    parts = [*legend, *panel.frame(f"{accuracy_name}, %")]
    parts += panel.curves(lines, _networks(lines), lambda p: p.score, lambda p: f"{accuracy_name} {p.score * 100:.1f} %")
    return picture(2 * WIDTH, top + HEIGHT, parts, f"{accuracy_name} against input size")


def cost_by_size_svg(lines: Sequence[SizeLine]) -> str:
    """Charts (SVG) of multiply-adds, which do not depend on the precision, and median latency against input size."""
    networks = _networks(_not_empty(lines))
    legend, top = _legend(lines, 2 if len(lines) > 1 else 1)
    network_lines = [_across_precisions(lines, network) for network in networks]
    maximum = max(point.multiply_adds for size_line in network_lines for point in size_line.points)
    unit, scale = ("G", 1e-9) if maximum >= 1e9 else ("M", 1e-6)
    left = _Panel(0.0, top, WIDTH, _sizes(lines), *_from_zero(maximum * scale), 1.0)
    maximum_ms = max(point.p50_ms for size_line in lines for point in size_line.points)
    right = _Panel(WIDTH, top, WIDTH, _sizes(lines), *_from_zero(maximum_ms), 1.0)

    def multiply_adds(point: SizePoint) -> float:
        return point.multiply_adds * scale

    parts = [*legend, *left.frame(f"multiply-adds, {unit}"), *right.frame("latency p50, ms")]
    parts += left.curves(network_lines, networks, multiply_adds, lambda p: f"{p.multiply_adds * scale:.3g} {unit} multiply-adds")
    parts += right.curves(lines, networks, lambda p: p.p50_ms, lambda p: f"{p.p50_ms:.2f} ms")
    return picture(2 * WIDTH, top + HEIGHT, parts, "multiply-adds and latency against input size")


@dataclass(frozen=True)
class _Panel:
    """A chart with input sizes on its horizontal axis.

    The vertical axis goes from `low` to `high` with a tick every `step`; tick labels are values times `factor`.
    """

    x0: float
    y0: float
    width: float
    sizes: list[tuple[int, int]]
    low: float
    high: float
    step: float
    factor: float

    def x(self, size: tuple[int, int]) -> float:
        room = (self.width - LEFT - RIGHT) / len(self.sizes)
        return self.x0 + LEFT + room * (self.sizes.index(size) + 0.5)

    def y(self, value: float) -> float:
        return self.y0 + (HEIGHT - BOTTOM) * (self.high - value) / (self.high - self.low)

    def frame(self, name: str) -> list[str]:
        """Grid, ticks and axis titles."""
        left, right, bottom = self.x0 + LEFT, self.x0 + self.width - RIGHT, self.y0 + HEIGHT - BOTTOM
        parts = []
        for index in range(round((self.high - self.low) / self.step) + 1):
            value = self.low + index * self.step
            parts.append(line(left, self.y(value), right, self.y(value)))
            parts.append(text(left - 10, self.y(value) + 4, f"{value * self.factor:.4g}", anchor="end", color=MUTED))
        parts.append(line(left, bottom, right, bottom, MUTED))
        for size in self.sizes:
            parts.append(text(self.x(size), bottom + 20, f"{size[0]}×{size[1]}", anchor="middle", color=MUTED))
        turned: dict[str, object] = {"transform": f"translate({self.x0 + 16:g} {(self.y0 + bottom) / 2:g}) rotate(-90)"}
        parts.append(element("g", turned, text(0, 0, name, anchor="middle")))
        return [*parts, text((left + right) / 2, bottom + 42, "input, height × width in pixels", anchor="middle")]

    def curves(
        self,
        lines: Sequence[SizeLine],
        networks: Sequence[str],
        value: Callable[[SizePoint], float],
        describe: Callable[[SizePoint], str],
    ) -> list[str]:
        """Each line with a marker at every size."""
        parts = []
        for size_line in lines:
            color = PALETTE[networks.index(size_line.network) % len(PALETTE)]
            places = [(self.x(point.size), self.y(value(point))) for point in size_line.points]
            if len(places) > 1:
                path = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(places))
                style = {"fill": "none", "stroke": color, "stroke-width": 2, "stroke-dasharray": _dash(size_line)}
                parts.append(element("path", {"d": path, **style}))
            for point, (x, y) in zip(size_line.points, places, strict=True):
                title = f"{size_line.name}, {point.size[0]}×{point.size[1]}: {describe(point)}"
                parts.append(_marker(x, y, color, size_line.precision == "int8", title))
        return parts


def _legend(lines: Sequence[SizeLine], columns: int) -> tuple[list[str], float]:
    """The legend in `columns` columns, and its height."""
    networks, parts = _networks(lines), []
    for index, size_line in enumerate(lines):
        x = LEFT + index % columns * max(LEGEND_WIDTH, (2 * WIDTH - LEFT - RIGHT) / columns)
        y = MARGIN + index // columns * LEGEND_ROW
        color = PALETTE[networks.index(size_line.network) % len(PALETTE)]
        parts.append(line(x, y, x + SYMBOL, y, color, 2, _dash(size_line)))
        parts.append(_marker(x + SYMBOL / 2, y, color, size_line.precision == "int8"))
        parts.append(text(x + SYMBOL + 8, y + 4, size_line.name, color=INK))
    return parts, MARGIN + math.ceil(len(lines) / columns) * LEGEND_ROW + MARGIN


def _marker(x: float, y: float, color: str, square: bool, title: str = "") -> str:
    style: dict[str, object] = {"fill": color, "stroke": PAPER, "stroke-width": 1.5}
    if square:
        box = {"x": x - RADIUS, "y": y - RADIUS, "width": 2 * RADIUS, "height": 2 * RADIUS, "rx": 1}
        return element("rect", {**box, **style}, title=title)
    return element("circle", {"cx": x, "cy": y, "r": RADIUS, **style}, title=title)


def _dash(size_line: SizeLine) -> str | None:
    return DASHES.get(size_line.precision, OTHER_DASH) if size_line.precision else None


def _not_empty(lines: Sequence[SizeLine]) -> Sequence[SizeLine]:
    if not lines:
        raise HRNetError("expected at least one network to draw, got none")
    return lines


def _networks(lines: Sequence[SizeLine]) -> list[str]:
    return list(dict.fromkeys(size_line.network for size_line in lines))


def _sizes(lines: Sequence[SizeLine]) -> list[tuple[int, int]]:
    return sorted({point.size for size_line in lines for point in size_line.points}, key=_area)


def _across_precisions(lines: Sequence[SizeLine], network: str) -> SizeLine:
    points = {point.size: point for size_line in reversed(lines) if size_line.network == network for point in size_line.points}
    return SizeLine(network, "", _ordered(points))


def _ordered(points: dict[tuple[int, int], SizePoint]) -> tuple[SizePoint, ...]:
    return tuple(points[size] for size in sorted(points, key=_area))


def _from_zero(maximum: float) -> tuple[float, float, float]:
    """Ends of an axis from zero to at least `maximum`, and its step."""
    step = tick_step(maximum * 1.05)
    return 0.0, math.ceil(maximum * 1.05 / step) * step, step


def _area(size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    return size[0] * size[1], size
