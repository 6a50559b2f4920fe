"""Charts of a report: each with a version for phones, and a table of the same values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mobile_eval.messages import number_of
from mobile_eval.model.network import LINK, DescribedNetwork
from mobile_eval.typed import JsonObject
from mobile_eval.viz.charts import RemovalPoint, importance_by_kind, importance_by_kind_svg, removal_svg
from mobile_eval.viz.link_diagram import link_diagram_svg
from mobile_eval.viz.scatter import Point, scatter_svg
from mobile_eval.viz.svg import NARROW


@dataclass(frozen=True)
class ValueTable:
    """The values of a chart as text: a caption, the names of the columns, and rows whose first cell is their name."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A chart.

    Attributes:
        wide: Chart for screens (SVG).
        narrow: Chart for phones (SVG); None if `wide` scrolls there.
        values: Its values.
    """

    wide: Markup
    narrow: Markup | None
    values: ValueTable


def two_widths(draw: Callable[..., str], values: ValueTable) -> Figure:
    """Return a figure that is drawn for screens and for phones.

    Args:
        draw: Draws the chart (SVG); it takes another `width` in pixels than the one for screens.
        values: Its values.
    """
    return Figure(Markup(draw()), Markup(draw(width=NARROW)), values)


def scatter_figure(points: Sequence[Point], metric: str, caption: str, *, front: bool = False) -> Figure:
    """Accuracy against latency (see `scatter_svg`)."""
    columns = ("Model", "p50, ms", "p90, ms", f"{metric}, %")
    rows = [(p.label, f"{p.latency_ms:.2f}", f"{p.p90_ms:.2f}", _accuracy(p)) for p in points]
    values = ValueTable(caption, columns, tuple(rows))
    return two_widths(functools.partial(scatter_svg, points, metric, front=front), values)


def _accuracy(point: Point) -> str:
    return f"{point.accuracy * 100:.2f}" + (f" ± {point.deviation * 100:.2f}" if point.deviation else "")


def links_figure(network: JsonObject, importance: Mapping[str, float] | None, caption: str) -> Figure:
    """The links of a network (see `link_diagram_svg`); the most important ones are first in the table."""
    described, values = DescribedNetwork.from_json(network, "the network"), importance or {}
    states = {**dict.fromkeys(described.links, "kept"), **dict.fromkeys(described.removed_links, "removed")}
    rows = [
        (link_name(name), states[name], f"{values[name]:.3g}" if name in values else "–")
        for name in sorted(states, key=lambda name: -values.get(name, 0.0))
    ]
    table = ValueTable(caption, ("Link", "State", "Importance"), tuple(rows))
    return Figure(Markup(link_diagram_svg(network, importance)), None, table)


def link_name(name: str) -> str:
    """Write the name of a link out.

    Example:
        >>> link_name("stage3_module0_link2to1")
        'stage 3, module 0, branch 2 to 1'
    """
    match = LINK.fullmatch(name)
    return "stage {}, module {}, branch {} to {}".format(*match.groups()) if match else name


def kinds_figure(importance: Mapping[str, float], caption: str) -> Figure:
    """Mean importance by kind of link (see `importance_by_kind_svg`)."""
    rows = [(kind.name, f"{kind.mean:.3g}", number_of(kind.count, "links")) for kind in importance_by_kind(importance)]
    values = ValueTable(caption, ("Kind", "Mean importance", "Links"), tuple(rows))
    return two_widths(functools.partial(importance_by_kind_svg, importance), values)


def removal_figure(points: Sequence[RemovalPoint], metric: str, cost_unit: str, caption: str) -> Figure:
    """Accuracy after each removal (see `removal_svg`)."""
    columns = ("Step", f"Share of {'latency' if cost_unit == 'ms' else cost_unit}", f"{metric}, %", "Removed")
    rows = [
        (str(number), f"{point.ratio:.3f}", f"{point.accuracy * 100:.1f}", _removed(point) if number else "–")
        for number, point in enumerate(points)
    ]
    draw = functools.partial(removal_svg, points, metric, cost_unit)
    return two_widths(draw, ValueTable(caption, columns, tuple(rows)))


def _removed(point: RemovalPoint) -> str:
    return "; ".join(link_name(name) for name in point.label.split(", "))
