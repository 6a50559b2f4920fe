"""Charts of accuracy and cost against input size, as in figure 6 of the HRNet pose paper (arXiv 1902.09212)."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from mobile_eval.report.figures import Figure, ValueTable, two_widths
from mobile_eval.report.results import ComparedModel
from mobile_eval.viz.svg import INK, MIN_TEXT, MUTED, PALETTE, PAPER, element, line, picture, text, tick_step

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM = 920.0, 300.0, 64.0, 24.0, 52.0
PANEL_WIDTH, PANEL_GAP = 460.0, 16.0  # of charts beside each other, and below each other where there is no room
SIZE_WIDTH = 56.0  # of an input size on the axis; it is written at an angle where there is less room
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


@dataclass(frozen=True)
class SizesSection:
    """The metric and the cost against input size."""

    accuracy: Figure
    cost: Figure


def sizes_section(models: Sequence[ComparedModel], metric: str) -> SizesSection | None:
    """Accuracy and cost against input size; None if all models have the same size."""
    if len(input_sizes(models)) < 2:
        return None
    lines = size_lines(models)
    accuracy = two_widths(functools.partial(accuracy_by_size_svg, lines, metric), _accuracy_table(lines, metric))
    return SizesSection(accuracy, two_widths(functools.partial(cost_by_size_svg, lines), _cost_table(lines)))


def _accuracy_table(lines: Sequence[SizeLine], metric: str) -> ValueTable:
    sizes = _sizes(lines)
    rows = []
    for size_line in lines:
        scores = {point.size: f"{point.score * 100:.2f}" for point in size_line.points}
        rows.append((size_line.name, *(scores.get(size, "–") for size in sizes)))
    return ValueTable(f"{metric} in percent by input size", ("Network", *map(_size_text, sizes)), tuple(rows))


def _cost_table(lines: Sequence[SizeLine]) -> ValueTable:
    rows = [
        (size_line.name, _size_text(point.size), f"{point.p50_ms:.2f}", f"{point.multiply_adds / 1e6:,.4g}")
        for size_line in lines
        for point in size_line.points
    ]
    return ValueTable("Cost by input size", ("Network", "Input", "p50, ms", "Multiply-adds, M"), tuple(rows))


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


def accuracy_by_size_svg(lines: Sequence[SizeLine], accuracy_name: str, *, width: float = WIDTH) -> str:
    """Chart (SVG) of the metric against input size, `width` pixels wide. Sizes are evenly spaced, as in the paper."""
    scores = [point.score for size_line in _not_empty(lines) for point in size_line.points]
    margin = max((max(scores) - min(scores)) * 0.1, (MIN_SPAN - (max(scores) - min(scores))) / 2)
    low, high = max(min(scores) - margin, 0.0), max(scores) + margin
    step = tick_step(high - low)
    ends = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    legend, top = _legend(lines, width)
    panel = _Panel(0.0, top, width, _sizes(lines), *ends, step, 100.0)
    parts = [*legend, *panel.frame(f"{accuracy_name}, %")]
    parts += panel.curves(lines, _networks(lines), lambda p: p.score, lambda p: f"{accuracy_name} {p.score * 100:.1f} %")
    return picture(width, top + HEIGHT, parts, f"{accuracy_name} against input size")


def cost_by_size_svg(lines: Sequence[SizeLine], *, width: float = WIDTH) -> str:
    """Charts (SVG) of multiply-adds, which do not depend on the precision, and median latency against input size.

    They are beside each other if `width` pixels are enough, or else below each other.
    """
    networks = _networks(_not_empty(lines))
    legend, top = _legend(lines, width)
    beside = width >= 2 * PANEL_WIDTH
    panel_width = width / 2 if beside else width
    x, y = (panel_width, top) if beside else (0.0, top + HEIGHT + PANEL_GAP)
    network_lines = [_across_precisions(lines, network) for network in networks]
    maximum = max(point.multiply_adds for size_line in network_lines for point in size_line.points)
    unit, scale = ("G", 1e-9) if maximum >= 1e9 else ("M", 1e-6)
    first = _Panel(0.0, top, panel_width, _sizes(lines), *_from_zero(maximum * scale), 1.0)
    maximum_ms = max(point.p50_ms for size_line in lines for point in size_line.points)
    second = _Panel(x, y, panel_width, _sizes(lines), *_from_zero(maximum_ms), 1.0)

    def multiply_adds(point: SizePoint) -> float:
        return point.multiply_adds * scale

    parts = [*legend, *first.frame(f"multiply-adds, {unit}"), *second.frame("latency p50, ms")]
    parts += first.curves(network_lines, networks, multiply_adds, lambda p: f"{p.multiply_adds * scale:.3g} {unit} multiply-adds")
    parts += second.curves(lines, networks, lambda p: p.p50_ms, lambda p: f"{p.p50_ms:.2f} ms")
    return picture(width, y + HEIGHT, parts, "multiply-adds and latency against input size")


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
            parts.append(self._size_name(size, bottom))
        turned: dict[str, object] = {"transform": f"translate({self.x0 + 16:g} {(self.y0 + bottom) / 2:g}) rotate(-90)"}
        parts.append(element("g", turned, text(0, 0, name, anchor="middle")))
        return [*parts, text((left + right) / 2, bottom + 46, "input, height × width in pixels", anchor="middle")]

    def _size_name(self, size: tuple[int, int], bottom: float) -> str:
        name = _size_text(size)
        if (self.width - LEFT - RIGHT) / len(self.sizes) >= SIZE_WIDTH:
            return text(self.x(size), bottom + 20, name, anchor="middle", color=MUTED)
        turned: dict[str, object] = {"transform": f"translate({self.x(size) + 4:g} {bottom + 12:g}) rotate(-30)"}
        return element("g", turned, text(0, 0, name, size=MIN_TEXT, anchor="end", color=MUTED))

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
                title = f"{size_line.name}, {_size_text(point.size)}: {describe(point)}"
                parts.append(_marker(x, y, color, size_line.precision == "int8", title))
        return parts


def _legend(lines: Sequence[SizeLine], width: float) -> tuple[list[str], float]:
    """The legend in as many columns as are needed and there is room for, and its height."""
    networks, parts = _networks(lines), []
    columns = max(min(2, len(lines), int((width - LEFT - RIGHT) / LEGEND_WIDTH)), 1)
    left = LEFT if columns > 1 else 0.0
    for index, size_line in enumerate(lines):
        x = left + index % columns * (width - LEFT - RIGHT) / columns
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


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def _area(size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    return size[0] * size[1], size
