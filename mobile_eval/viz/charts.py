"""Small charts about fusion links: importance by kind, and accuracy as one unit after another is removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mobile_eval.errors import HRNetError
from mobile_eval.model.network import LINK
from mobile_eval.viz.scatter import tick_step
from mobile_eval.viz.svg import GRID, INK, MUTED, PAPER, element, line, picture, text
from mobile_eval.words import number_of

WIDTH, LABEL, ROW, BAR, TOP = 620.0, 170.0, 24.0, 14.0, 12.0
CURVE_HEIGHT, LEFT, RIGHT, BOTTOM = 300.0, 64.0, 24.0, 52.0
COLORS = ("#2458d3", "#c2570c", "#0f8a6d")


@dataclass(frozen=True)
class Kind:
    """One kind of link: how many there are, and their mean importance."""

    group: str
    name: str
    count: int
    mean: float


def importance_by_kind(importance: Mapping[str, float]) -> list[Kind]:
    """Links by direction, stage and distance; residual blocks and what is no link are left out."""
    groups: dict[tuple[str, str], list[float]] = {}
    for name, value in importance.items():
        match = LINK.fullmatch(name)
        if match is None:
            continue
        stage, _, source, target = map(int, match.groups())
        direction = "to higher resolution" if source > target else "to lower resolution"
        distance = abs(source - target)
        kinds = (
            ("direction", direction),
            ("stage", f"stage {stage}"),
            ("distance", f"{distance} step{'s' if distance > 1 else ''}"),
        )
        for key in kinds:
            groups.setdefault(key, []).append(value)
    order = ("direction", "stage", "distance")
    keys = sorted(groups, key=lambda key: (order.index(key[0]), key[1]))
    return [Kind(*key, len(groups[key]), sum(groups[key]) / len(groups[key])) for key in keys]


def kinds_svg(importance: Mapping[str, float]) -> str:
    """Mean importance of each kind of link as bars."""
    kinds = importance_by_kind(importance)
    if not kinds:
        raise HRNetError("expected the importance of at least one fusion link, got none")
    most = max(max(kind.mean for kind in kinds), 1e-12)
    groups = list(dict.fromkeys(kind.group for kind in kinds))
    parts, y = [], TOP
    for kind, before in zip(kinds, [None, *kinds], strict=False):
        y += 8 if before and before.group != kind.group else 0
        width = max((WIDTH - LABEL - 130) * max(kind.mean, 0.0) / most, 1.0)
        bar = {"x": LABEL, "y": y, "width": width, "height": BAR, "rx": 2, "fill": COLORS[groups.index(kind.group)]}
        links = f"{number_of(kind.count, 'links')}"
        parts.append(text(LABEL - 10, y + 11, kind.name, anchor="end"))
        parts.append(element("rect", bar, title=f"{kind.name}: mean importance {kind.mean:.3g} of {links}"))
        parts.append(text(LABEL + width + 8, y + 11, f"{kind.mean:.2g}  ({links})", size=11, color=MUTED))
        y += ROW
    return picture(WIDTH, y + 6, parts, "importance of fusion links by kind")


@dataclass(frozen=True)
class RemovedUnits:
    """A point on the way down: share of the full network's cost that is left, accuracy (0..1), and what went."""

    ratio: float
    accuracy: float
    what: str


def removal_svg(points: Sequence[RemovedUnits], accuracy_name: str, cost_unit: str) -> str:
    """Accuracy after each removal, without any tuning, against the cost that is left; the whole network is
    at the left. `cost_unit` is what the steps' prices are in, "ms" or "multiply-adds"."""
    if not points:
        raise HRNetError("expected at least one step to draw, got none")
    cost_name = "latency" if cost_unit == "ms" else cost_unit
    low, high = min(p.accuracy for p in points), max(p.accuracy for p in points)
    step = tick_step(max(high - low, 0.02))
    low, high = int(low / step) * step, min((int(high / step) + 1) * step, max(high, 1.0))  # no share is above 1
    least = max(min(p.ratio for p in points) - 0.05, 0.0)

    def x(ratio: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (1 - ratio) / max(1 - least, 1e-9)

    def y(accuracy: float) -> float:
        return TOP + (CURVE_HEIGHT - TOP - BOTTOM) * (high - accuracy) / (high - low)

    parts, value = [], low
    while value <= high + step / 2:
        parts += [line(LEFT, y(value), WIDTH - RIGHT, y(value), GRID)]
        parts += [text(LEFT - 8, y(value) + 4, f"{value * 100:.3g}", anchor="end", color=MUTED)]
        value += step
    for tenth in range(int(least * 10 + 0.999), 11):
        parts.append(text(x(tenth / 10), CURVE_HEIGHT - BOTTOM + 18, f"{tenth / 10:g}", anchor="middle", color=MUTED))
    path = " ".join(f"{'L' if i else 'M'}{x(p.ratio):.1f} {y(p.accuracy):.1f}" for i, p in enumerate(points))
    parts.append(element("path", {"d": path, "fill": "none", "stroke": COLORS[0], "stroke-width": 1.5}))
    for number, point in enumerate(points):
        dot = {"cx": x(point.ratio), "cy": y(point.accuracy), "r": 3.5, "fill": COLORS[0], "stroke": PAPER}
        title = f"step {number}: {point.what}; {point.ratio:.3f} of {cost_name}, {accuracy_name} {point.accuracy * 100:.1f} %"
        parts.append(element("circle", dot, title=title))
    middle = (TOP + CURVE_HEIGHT - BOTTOM) / 2
    name = text(0, 0, f"{accuracy_name}, %", anchor="middle", color=INK)
    parts.append(element("g", {"transform": f"translate(16 {middle:g}) rotate(-90)"}, name))
    parts.append(
        text(
            (LEFT + WIDTH - RIGHT) / 2,
            CURVE_HEIGHT - 10,
            f"share of the full network’s {cost_name} that is left",
            anchor="middle",
        )
    )
    return picture(WIDTH, CURVE_HEIGHT, parts, f"{accuracy_name} after each removal")


def removal_points(whole: float, steps: Sequence[Mapping[str, object]]) -> list[RemovedUnits]:
    """The points of a `pruning.json`'s steps, the whole network (accuracy `whole`) first; steps without accuracy are left out."""
    points = [RemovedUnits(1.0, whole, "the whole network")]
    for step in steps:
        removed, ratio, score = step["removed"], step["ratio"], step.get("score")
        if isinstance(removed, list) and isinstance(ratio, float) and isinstance(score, float):
            points.append(RemovedUnits(ratio, score, ", ".join(removed)))
    return points
