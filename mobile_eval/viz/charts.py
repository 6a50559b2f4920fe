"""Charts of fusion links: mean importance by kind of link, and accuracy against cost as links are removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from mobile_eval.messages import number_of
from mobile_eval.model.network import LINK
from mobile_eval.viz.svg import BLUE, GRID, INK, MUTED, PALETTE, PAPER, element, line, picture, text, tick_step

WIDTH, LABEL, ROW, BAR, TOP = 620.0, 140.0, 24.0, 14.0, 12.0
CURVE_HEIGHT, LEFT, RIGHT, BOTTOM = 300.0, 64.0, 24.0, 52.0
GROUPS = ("direction", "stage", "distance")
FULL_NETWORK = "full network"


@dataclass(frozen=True)
class LinkKind:
    """A kind of fusion link.

    Args:
        group: What kinds are told apart by: one of GROUPS.
        name: Name of the kind.
        count: Number of links.
        mean: Their mean importance.
    """

    group: str
    name: str
    count: int
    mean: float


def importance_by_kind(importance: Mapping[str, float]) -> list[LinkKind]:
    """Group links by direction, stage and distance.

    Args:
        importance: Importance by name; names of other units than links are ignored.
    """
    groups: dict[tuple[str, str], list[float]] = {}
    for name, value in importance.items():
        match = LINK.fullmatch(name)
        if match is None:
            continue
        stage, _, source, target = map(int, match.groups())
        direction = "to higher resolution" if source > target else "to lower resolution"
        kinds = (direction, f"stage {stage}", number_of(abs(source - target), "steps"))
        for key in zip(GROUPS, kinds, strict=True):
            groups.setdefault(key, []).append(value)
    keys = sorted(groups, key=lambda key: (GROUPS.index(key[0]), key[1]))
    return [LinkKind(*key, len(groups[key]), sum(groups[key]) / len(groups[key])) for key in keys]


def importance_by_kind_svg(importance: Mapping[str, float], *, width: float = WIDTH) -> str:
    """Draw the mean importance of each kind of link as bars.

    Args:
        importance: Importance by name (see `importance_by_kind`).
        width: Width in pixels.

    Returns:
        SVG text.
    """
    kinds = importance_by_kind(importance)
    if not kinds:
        raise HRNetError("expected the importance of at least one fusion link, got none")
    longest = max(max(kind.mean for kind in kinds), 1e-12)
    groups = list(dict.fromkeys(kind.group for kind in kinds))
    parts, y = [], TOP
    for kind, previous in zip(kinds, [None, *kinds], strict=False):
        y += 8 if previous and previous.group != kind.group else 0
        length = max((width - LABEL - 130) * max(kind.mean, 0.0) / longest, 1.0)
        bar = {"x": LABEL, "y": y, "width": length, "height": BAR, "rx": 2, "fill": PALETTE[groups.index(kind.group)]}
        links = number_of(kind.count, "links")
        parts.append(text(LABEL - 10, y + 11, kind.name, anchor="end"))
        parts.append(element("rect", bar, title=f"{kind.name}: mean importance {kind.mean:.3g} of {links}"))
        parts.append(text(LABEL + length + 8, y + 11, f"{kind.mean:.2g}  ({links})", size=11, color=MUTED))
        y += ROW
    return picture(width, y + 6, parts, "importance of fusion links by kind")


@dataclass(frozen=True)
class RemovalPoint:
    """A point of the removal chart.

    Args:
        ratio: Cost relative to the full network.
        accuracy: Accuracy, 0 to 1, without fine-tuning.
        label: What was removed.
    """

    ratio: float
    accuracy: float
    label: str


def removal_points(full_score: float, steps: Sequence[Mapping[str, object]]) -> list[RemovalPoint]:
    """Convert the steps of a `pruning.json` to points.

    Args:
        full_score: Accuracy of the full network, the first point.
        steps: Steps with "removed", "ratio" and "score"; those without a score are omitted.
    """
    points = [RemovalPoint(1.0, full_score, FULL_NETWORK)]
    for step in steps:
        removed, ratio, score = step["removed"], step["ratio"], step.get("score")
        if isinstance(removed, list) and isinstance(ratio, float) and isinstance(score, float):
            points.append(RemovalPoint(ratio, score, ", ".join(removed)))
    return points


@dataclass(frozen=True)
class _Axes:
    """Axes of the removal chart: from cost ratio 1 at the left to `min_ratio`, and from `low` to `high` accuracy."""

    width: float
    min_ratio: float
    low: float
    high: float
    step: float

    @classmethod
    def of(cls, points: Sequence[RemovalPoint], width: float) -> _Axes:
        low, high = min(point.accuracy for point in points), max(point.accuracy for point in points)
        step = tick_step(max(high - low, 0.02))
        low, high = int(low / step) * step, min((int(high / step) + 1) * step, max(high, 1.0))  # no accuracy is above 1
        return cls(width, max(min(point.ratio for point in points) - 0.05, 0.0), low, high, step)

    @property
    def right(self) -> float:
        return self.width - RIGHT

    def x(self, ratio: float) -> float:
        return LEFT + (self.right - LEFT) * (1 - ratio) / max(1 - self.min_ratio, 1e-9)

    def y(self, accuracy: float) -> float:
        return TOP + (CURVE_HEIGHT - TOP - BOTTOM) * (self.high - accuracy) / (self.high - self.low)


def removal_svg(points: Sequence[RemovalPoint], accuracy_name: str, cost_unit: str, *, width: float = WIDTH) -> str:
    """Draw accuracy after each removal, without fine-tuning, against the remaining cost; the full network is at the left.

    Args:
        points: The points, the full network first (see `removal_points`).
        accuracy_name: Name of the accuracy metric.
        cost_unit: Unit of the cost: "ms" or "multiply-adds".
        width: Width in pixels.

    Returns:
        SVG text.
    """
    if not points:
        raise HRNetError("expected at least one step to draw, got none")
    axes, cost_name = _Axes.of(points, width), "latency" if cost_unit == "ms" else cost_unit
    parts = list(_ticks(axes))
    path = " ".join(f"{'L' if i else 'M'}{axes.x(p.ratio):.1f} {axes.y(p.accuracy):.1f}" for i, p in enumerate(points))
    parts.append(element("path", {"d": path, "fill": "none", "stroke": BLUE, "stroke-width": 1.5}))
    for number, point in enumerate(points):
        dot = {"cx": axes.x(point.ratio), "cy": axes.y(point.accuracy), "r": 3.5, "fill": BLUE, "stroke": PAPER}
        title = f"step {number}: {point.label}; {point.ratio:.3f} of {cost_name}, {accuracy_name} {point.accuracy * 100:.1f} %"
        parts.append(element("circle", dot, title=title))
    middle = (TOP + CURVE_HEIGHT - BOTTOM) / 2
    name = text(0, 0, f"{accuracy_name}, %", anchor="middle", color=INK)
    parts.append(element("g", {"transform": f"translate(16 {middle:g}) rotate(-90)"}, name))
    caption = f"share of the full network’s {cost_name}"
    parts.append(text((LEFT + axes.right) / 2, CURVE_HEIGHT - 10, caption, anchor="middle"))
    return picture(width, CURVE_HEIGHT, parts, f"{accuracy_name} after each removal")


def _ticks(axes: _Axes) -> Iterator[str]:
    value = axes.low
    while value <= axes.high + axes.step / 2:
        yield line(LEFT, axes.y(value), axes.right, axes.y(value), GRID)
        yield text(LEFT - 8, axes.y(value) + 4, f"{value * 100:.3g}", anchor="end", color=MUTED)
        value += axes.step
    for tenth in range(int(axes.min_ratio * 10 + 0.999), 11):
        yield text(axes.x(tenth / 10), CURVE_HEIGHT - BOTTOM + 18, f"{tenth / 10:g}", anchor="middle", color=MUTED)
